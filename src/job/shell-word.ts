/** Formats command lines in messages, quoted for a shell. */
import { replaceControlCharacters } from "./control-characters.ts";

/** The longest word that is shown whole, in characters. */
const LONGEST_WORD = 200;
const MOST_WORDS = 20;

/** A word, quoted if a shell needs that; cut if it is too long. */
export function shellWord(word: string): string {
  const cut = word.length > LONGEST_WORD ? `${word.slice(0, LONGEST_WORD)}…` : word;
  const shown = replaceControlCharacters(cut, "·").replace(/[\u2028\u2029]/g, "·");
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}

/** `orchesjob` and its words; `…` for words beyond MOST_WORDS. */
export function commandLine(words: readonly string[]): string {
  const shown = words.slice(0, MOST_WORDS).map(shellWord);
  return ["orchesjob", ...shown, ...(words.length > MOST_WORDS ? ["…"] : [])].join(" ");
}

/** An option with its value; a value that begins with `-` follows `=`. */
export function optionWords(flag: string, value: string): readonly string[] {
  return value.startsWith("-") ? [`${flag}=${value}`] : [flag, value];
}
