/** Reading the values of options. Each function throws OrchesjobError `usage`, with the value and an example. */
import { hasControlCharacter } from "../../job/control-characters.ts";
import { parseDuration } from "../../job/duration.ts";
import { OrchesjobError } from "../../job/errors.ts";
import { byteLength, checkRunKey } from "../../job/request.ts";
import type { Completes, ValueReader } from "../command.ts";

const MAX_TEXT_BYTES = 1024;
const MAX_LABEL_BYTES = 4096;

function usage(message: string): OrchesjobError {
  return new OrchesjobError("usage", message);
}

/** Of more than 0. Returns ms. */
export function duration(option: string): (text: string) => number {
  return (text) => parseDuration(option, text);
}

/** Where 0 means: at once. Returns ms. */
export function durationOrZero(option: string): (text: string) => number {
  return (text) => parseDuration(option, text, true);
}

export function wholeNumber(option: string, smallest: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : -1;
    if (value >= smallest) return value;
    throw usage(`${option} is a whole number of at least ${smallest}, not ${JSON.stringify(text)}`);
  };
}

const BYTES = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 } as const;

/** Bytes: `500000`, `64K`, `100M`, `5G`, `1T`, powers of 1024. */
export function byteSize(option: string): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,15})([KMGT]?)$/.exec(text);
    const bytes = match === null ? Number.NaN : Number(match[1]) * BYTES[match[2] as keyof typeof BYTES];
    if (Number.isSafeInteger(bytes)) return bytes;
    throw usage(
      `${option} is a number of bytes, or of K, M, G or T, e.g. ${option} 5G, not ${JSON.stringify(text)}`,
    );
  };
}

/** A short text for people: a reason, a token. */
export function shortText(option: string): (text: string) => string {
  return (text) => {
    if (text === "") throw usage(`${option} is empty`);
    const bytes = byteLength(text);
    if (bytes <= MAX_TEXT_BYTES) return text;
    throw usage(`${option} has ${bytes} bytes; at most ${MAX_TEXT_BYTES} are allowed`);
  };
}

/** A word for programs: short, and nothing in it moves a cursor. */
export function token(option: string): (text: string) => string {
  const short = shortText(option);
  return (text) => {
    if (!hasControlCharacter(text)) return short(text);
    throw usage(`${option} contains a control character: ${JSON.stringify(text)}`);
  };
}

/** NAME=VALUE for the environment, as it is. */
export function variable(option: string): (text: string) => string {
  return (text) => {
    if (text.indexOf("=") > 0) return text;
    throw usage(`${option} is NAME=VALUE, e.g. ${option} LANG=C, not ${JSON.stringify(text)}`);
  };
}

/** NAME=VALUE of a unit, in systemd's notation; what it means systemd knows. */
export function property(option: string): (text: string) => string {
  return (text) => {
    if (/^[A-Za-z][A-Za-z0-9]*=[^\u0000-\u001f\u007f]*$/.test(text)) return shortText(option)(text);
    throw usage(`${option} is NAME=VALUE, e.g. ${option} MemoryMax=2G, not ${JSON.stringify(text)}`);
  };
}

const LABEL_NAME = /^[A-Za-z_][A-Za-z0-9_.\/-]*$/;

/** The name of a label alone. */
export function labelName(option: string): ValueReader<string> {
  return (text) => {
    if (LABEL_NAME.test(text)) return text;
    throw usage(`${option} is the name of a label, e.g. ${option} team, not ${JSON.stringify(text)}`);
  };
}

/** Labels by their names; the last of a name counts. */
export function labels(given: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (given.length === 0) return found;
  for (const text of given) {
    const equals = text.indexOf("=");
    if (!LABEL_NAME.test(text.slice(0, Math.max(0, equals))))
      throw usage(`--label is NAME=VALUE, e.g. --label team=billing, not ${JSON.stringify(text)}`);
    found.set(text.slice(0, equals), text.slice(equals + 1));
  }
  if (byteLength(JSON.stringify(Object.fromEntries(found))) > MAX_LABEL_BYTES)
    throw usage(`the labels have more than ${MAX_LABEL_BYTES} bytes together`);
  return found;
}

/** A choice of words. `spell`: how the words are spelled, for who writes them otherwise. */
export function oneOf<T extends string>(
  option: string,
  words: readonly T[],
  spell: (text: string) => string = (text) => text,
): ValueReader<T> {
  const read = (text: string) => {
    const spelled = spell(text);
    const found = words.find((word) => word === spelled);
    if (found !== undefined) return found;
    throw usage(`${option} is ${words.join(" or ")}, not ${JSON.stringify(text)}`);
  };
  return Object.assign(read, { choices: words });
}

/** What is read so, and can be looked up by a shell. */
export function completing<T>(completes: Completes, read: (text: string) => T): ValueReader<T> {
  return Object.assign((text: string) => read(text), { completes });
}

/** Any text. */
export function textThat(completes?: Completes): ValueReader<string> {
  return completes === undefined ? (text) => text : completing(completes, (text) => text);
}

/** A file's name, or `-` for our own stdin. */
export const fileOrStdin: ValueReader<string> = Object.assign(textThat("file"), { takesDash: true });

export const runKeyValue = completing("run-key", checkRunKey);
