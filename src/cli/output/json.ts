/** Answers as JSON: indented by two, and in characters that the caller can read. */

const encoder = new TextEncoder();

export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** JSON, or a piece of it, as the bytes to be written: see forCaller. */
export function encodeJson(json: string): Uint8Array {
  const bytes = encoder.encode(json);
  // As many bytes as characters: it is ASCII already, as nearly always, and nothing else has to be looked at.
  return bytes.length === json.length ? bytes : encoder.encode(forCaller(json));
}

/** The same JSON in ASCII, as Python wrote it always, where the caller's locale says another charset than UTF-8. */
export function forCaller(json: string): string {
  if (readsUtf8()) return json;
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** See locale(7). Without a charset a locale has an old one (`de_DE`: ISO-8859-1); no locale at all, or C, says nothing. */
function readsUtf8(): boolean {
  const locale = process.env["LC_ALL"] || process.env["LC_CTYPE"] || process.env["LANG"] || "C";
  if (locale === "C" || locale === "POSIX") return true;
  const [, charset = ""] = /\.([^@]*)/.exec(locale) ?? [];
  return /^utf-?8$/i.test(charset);
}
