/** Control characters, which a terminal obeys instead of showing them: C0, DEL and C1. */

// A literal, because it is compiled at its first use: `new RegExp` would cost 100,000 instructions in every start.
const ALL = /[\u0000-\u001f\u007f-\u009f]/g;

export function hasControlCharacter(text: string): boolean {
  return text.search(ALL) >= 0;
}

export function replaceControlCharacters(text: string, replacement: string): string {
  return text.replace(ALL, replacement);
}
