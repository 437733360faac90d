/** Characters that a terminal or a line of text does not show but obeys: C0, DEL and C1. */

/** The class, for the inside of a regular expression. */
export const CONTROL_CHARACTERS = "\\u0000-\\u001f\\u007f-\\u009f";

const ONE = new RegExp(`[${CONTROL_CHARACTERS}]`);

export function hasControlCharacter(text: string): boolean {
  return ONE.test(text);
}
