/** Makes text from outside (run keys, paths, commands) safe to print on a terminal. */

/** Replaces control characters, and those that change the direction of writing, by `·`. */
export function sanitize(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "·");
}
