/** Makes text from outside (run keys, labels, paths, commands, output) safe to print on a terminal. */
import { replaceControlCharacters } from "../../job/control-characters.ts";

/**
 * Beyond C0: DEL and C1, which a terminal obeys; what changes the direction of writing or breaks lines; what is invisible, so
 * that two names look the same. Not the joiners U+200C and U+200D, which scripts and emoji need. A literal: see
 * job/control-characters.ts.
 */
const UNSAFE =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udcff]/g;

/** Replaces each such character, and each of C0, by `·`. */
export function sanitize(text: string): string {
  return replaceControlCharacters(text, "·").replace(UNSAFE, "·");
}

/** As sanitize, but keeps the line feeds between lines. */
export function sanitizeLines(text: string): string {
  return text.split("\n").map(sanitize).join("\n");
}

/** Replaces each such character in JSON by an escape, which has the same value. JSON has C0 escaped already. */
export function sanitizeJson(json: string): string {
  return json.replace(UNSAFE, escapeUnits);
}

/** As `\uXXXX`, each unit of UTF-16. */
export function escapeUnits(text: string): string {
  let escaped = "";
  for (let index = 0; index < text.length; index++)
    escaped += `\\u${text.charCodeAt(index).toString(16).padStart(4, "0")}`;
  return escaped;
}
