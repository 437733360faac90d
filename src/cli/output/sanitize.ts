/** Text from outside (a run key, a path, a command) where people read it. */
import { replaceControlCharacters } from "../../job/control-characters.ts";

/** Shows a dot for each character that moves the cursor, ends a line, or turns the direction of writing. */
export function sanitize(text: string): string {
  return replaceControlCharacters(text, "·").replace(/[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "·");
}
