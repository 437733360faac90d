/** Turns the bytes of a terminal into keys. A sequence may come in several reads. */

/** A character, the name of a key (`up`, `enter`, `escape`, `ctrl-c`, …), or PASTED and a character that nobody typed. */
export type Key = string;

/** Begins the keys of a pasted text, which must not be taken for commands. */
export const PASTED = "pasted ";
/** What a terminal sends around a pasted text: bracketed paste mode. */
const PASTE_BEGINS = "200~";
const PASTE_ENDS = "201~";

/** The final characters and numbers of sequences after `ESC [` or `ESC O`; others are ignored. */
const SEQUENCES: Readonly<Record<string, Key>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  H: "home",
  F: "end",
  "1~": "home",
  "4~": "end",
  "7~": "home",
  "8~": "end",
  "5~": "pageup",
  "6~": "pagedown",
  "3~": "delete",
};

const CONTROLS: Readonly<Record<string, Key>> = {
  "\r": "enter",
  "\n": "enter",
  "\t": "tab",
  "\b": "backspace",
  "\u007f": "backspace",
};

/** `ESC [`, parameters, intermediates, and a final character; or `ESC O` and one character. */
const SEQUENCE = /^\u001b(?:\[([0-9;?<=>]*)[ -/]*([@-~])|O(.))/s;
/** May become a sequence. */
const BEGINNING = /^\u001b(?:\[[0-9;?<=> -/]*|O)?$/;

export class KeyReader {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #isPasting = false;

  /** Whether the bytes so far end in the middle of a sequence, or with a lone Escape: call `flush` if nothing follows soon. */
  get isPending(): boolean {
    return this.#rest !== "";
  }

  feed(bytes: Uint8Array): readonly Key[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    return this.#read();
  }

  /** The keys of what is left: a lone Escape is the key. */
  flush(): readonly Key[] {
    const isEscape = this.#rest === "\u001b";
    this.#rest = "";
    return isEscape ? ["escape"] : [];
  }

  #read(): readonly Key[] {
    const keys: Key[] = [];
    while (this.#rest !== "" && !BEGINNING.test(this.#rest)) {
      const sequence = SEQUENCE.exec(this.#rest);
      const [first] = this.#rest;
      this.#rest = this.#rest.slice(sequence?.[0].length ?? first!.length);
      const name = sequence === null ? undefined : nameOf(sequence);
      if (name === PASTE_BEGINS || name === PASTE_ENDS) this.#isPasting = name === PASTE_BEGINS;
      const key = name === undefined ? this.#plainKey(first!) : SEQUENCES[name];
      if (key !== undefined) keys.push(key);
    }
    return keys;
  }

  #plainKey(character: string): Key | undefined {
    const key = plainKey(character);
    // A terminal that does not send the end of a paste must not lock anybody in.
    if (!this.#isPasting || key === "ctrl-c") return key;
    return `${PASTED}${/\s/.test(character) ? " " : character}`;
  }
}

/** Without modifiers: `ESC [ 1 ; 5 A` is the same as `ESC [ A`. */
function nameOf([, parameters = "", final = "", single = ""]: RegExpExecArray): string {
  return final === "~" ? `${parameters.split(";")[0]}~` : final || single;
}

function plainKey(character: string): Key | undefined {
  const named = CONTROLS[character];
  if (named !== undefined) return named;
  if (character === "\u001b") return "escape";
  const code = character.codePointAt(0)!;
  if (code >= 32) return character;
  return code >= 1 && code <= 26 ? `ctrl-${String.fromCharCode(code + 96)}` : undefined;
}
