/** Encodes answers as JSON, in the charset of the caller's locale. */

const encoder = new TextEncoder();

/** Indented by two, with a newline at the end. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Encodes JSON, or a piece of it, after escapeForLocale. */
export function encodeJson(json: string): Uint8Array {
  const bytes = encoder.encode(json);
  // As many bytes as characters: it is ASCII, as nearly always, so the locale does not matter.
  return bytes.length === json.length ? bytes : encoder.encode(escapeForLocale(json));
}

/** If the caller's locale has another charset than UTF-8, the same JSON in ASCII, as the Python version always wrote it. */
export function escapeForLocale(json: string): string {
  if (readsUtf8()) return json;
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** See locale(7). A locale without a charset has a legacy one (`de_DE`: ISO-8859-1). C, POSIX or no locale count as UTF-8. */
function readsUtf8(): boolean {
  const locale = process.env["LC_ALL"] || process.env["LC_CTYPE"] || process.env["LANG"] || "C";
  if (locale === "C" || locale === "POSIX") return true;
  const [, charset = ""] = /\.([^@]*)/.exec(locale) ?? [];
  return /^utf-?8$/i.test(charset);
}
