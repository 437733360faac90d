/** Encodes answers as JSON that is safe on a terminal, in the charset of the caller's locale. */
import { escapeUnits, sanitizeJson } from "./sanitize.ts";

const encoder = new TextEncoder();

/** Indented by two, with a newline at the end. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Encodes JSON, or a piece of it, after escapeJson. */
export function encodeJson(json: string): Uint8Array {
  const bytes = encoder.encode(json);
  // As many bytes as characters: it is ASCII, as nearly always. Of that, DEL alone is escaped.
  return bytes.length === json.length && !json.includes("\u007f") ? bytes : encoder.encode(escapeJson(json));
}

/**
 * The same JSON without a character that is unsafe on a terminal; if the caller's locale has another charset than UTF-8, in
 * ASCII, as the Python version always wrote it.
 */
export function escapeJson(json: string): string {
  const safe = sanitizeJson(json);
  return readsUtf8() ? safe : safe.replace(/[\u0080-\uffff]+/g, escapeUnits);
}

/** See locale(7). A locale without a charset has a legacy one (`de_DE`: ISO-8859-1). C, POSIX or no locale count as UTF-8. */
function readsUtf8(): boolean {
  const locale = process.env["LC_ALL"] || process.env["LC_CTYPE"] || process.env["LANG"] || "C";
  if (locale === "C" || locale === "POSIX") return true;
  const [, charset = ""] = /\.([^@]*)/.exec(locale) ?? [];
  return /^utf-?8$/i.test(charset);
}
