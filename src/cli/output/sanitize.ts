/** Makes text from outside (run keys, paths, commands) safe to print on a terminal. */
import { replaceControlCharacters } from "../../job/control-characters.ts";

/** Replaces control characters, and those that change the direction of writing, by `·`. */
export function sanitize(text: string): string {
  return replaceControlCharacters(text, "·").replace(/[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "·");
}
