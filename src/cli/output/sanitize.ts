/** Text from outside (a run key, a path, a command) where people read it. */

/** Nothing may move the cursor, or turn the direction of writing. */
export function sanitize(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "·");
}
