/** Parses the values of options. Each function throws OrchesjobError `usage` with the value, most with an example. */
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

/** A duration greater than 0. Returns ms. */
export function duration(option: string): (text: string) => number {
  return (text) => parseDuration(option, text);
}

/** A duration that may be 0. Returns ms. */
export function durationOrZero(option: string): (text: string) => number {
  return (text) => parseDuration(option, text, true);
}

export function wholeNumber(option: string, smallest: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : -1;
    if (value > LARGEST) throw tooLarge(option, text);
    if (value >= smallest) return value;
    throw usage(`${option} must be a whole number of at least ${smallest}, not ${JSON.stringify(text)}`);
  };
}

/** Far more than anything has, and a number that a double holds exactly. */
const LARGEST = 999_999_999_999_999;

function tooLarge(option: string, text: string): OrchesjobError {
  return usage(`${option} ${JSON.stringify(text)} is too large: at most ${LARGEST}`);
}

const BYTES = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 } as const;

/** A size: `500000`, `64K`, `100M`, `5G`, `1T`, in powers of 1024. Returns bytes. */
export function byteSize(option: string): (text: string) => number {
  return (text) => {
    const match = /^(\d+)([KMGT]?)$/.exec(text);
    const bytes = match === null ? Number.NaN : Number(match[1]) * BYTES[match[2] as keyof typeof BYTES];
    if (bytes > LARGEST) throw tooLarge(option, text);
    if (bytes >= 0) return bytes;
    throw usage(
      `${option} must be a number of bytes, or of K, M, G or T, e.g. ${option} 5G, not ${JSON.stringify(text)}`,
    );
  };
}

/** A text of 1 to MAX_TEXT_BYTES bytes, e.g. a reason. */
export function shortText(option: string): (text: string) => string {
  return (text) => {
    if (text === "") throw usage(`${option} is empty`);
    const bytes = byteLength(text);
    if (bytes <= MAX_TEXT_BYTES) return text;
    throw usage(`${option} has ${bytes} bytes; at most ${MAX_TEXT_BYTES} are allowed`);
  };
}

/** As shortText, without control characters. */
export function token(option: string): (text: string) => string {
  const short = shortText(option);
  return (text) => {
    if (!hasControlCharacter(text)) return short(text);
    throw usage(`${option} contains a control character: ${JSON.stringify(text)}`);
  };
}

/** NAME=VALUE of an environment variable. Returns it unchanged. */
export function variable(option: string): (text: string) => string {
  return (text) => {
    if (text.indexOf("=") > 0) return text;
    throw usage(`${option} must be NAME=VALUE, e.g. ${option} LANG=C, not ${JSON.stringify(text)}`);
  };
}

/** NAME=VALUE of a unit. Checks only the form: systemd checks name and value. */
export function property(option: string): (text: string) => string {
  return (text) => {
    if (/^[A-Za-z][A-Za-z0-9]*=[^\u0000-\u001f\u007f]*$/.test(text)) return shortText(option)(text);
    throw usage(`${option} must be NAME=VALUE, e.g. ${option} MemoryMax=2G, not ${JSON.stringify(text)}`);
  };
}

const LABEL_NAME = /^[A-Za-z_][A-Za-z0-9_.\/-]*$/;

/** The name of a label, without a value. */
export function labelName(option: string): ValueReader<string> {
  return completing("label-name", (text) => {
    if (LABEL_NAME.test(text)) return text;
    throw usage(`${option} must be the name of a label, e.g. ${option} team, not ${JSON.stringify(text)}`);
  });
}

/** Labels by name. If a name is given more than once, the last value counts. */
export function labels(given: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (given.length === 0) return found;
  for (const text of given) {
    const equals = text.indexOf("=");
    if (!LABEL_NAME.test(text.slice(0, Math.max(0, equals))))
      throw usage(`--label must be NAME=VALUE, e.g. --label team=billing, not ${JSON.stringify(text)}`);
    found.set(text.slice(0, equals), text.slice(equals + 1));
  }
  if (byteLength(JSON.stringify(Object.fromEntries(found))) > MAX_LABEL_BYTES)
    throw usage(`the labels have more than ${MAX_LABEL_BYTES} bytes in total`);
  return found;
}

/** One of some words. `spell` normalises what was given, e.g. to upper case. */
export function oneOf<T extends string>(
  option: string,
  words: readonly T[],
  spell: (text: string) => string = (text) => text,
): ValueReader<T> {
  const read = (text: string) => {
    const spelled = spell(text);
    const found = words.find((word) => word === spelled);
    if (found !== undefined) return found;
    const parts = text.split(",").map(spell);
    const isList = parts.length > 1 && parts.every((part) => words.some((word) => word === part));
    throw new OrchesjobError(
      "usage",
      `${option} must be ${orList(words)}, not ${JSON.stringify(text)}`,
      isList ? "one of them; where several are allowed, repeat the option" : undefined,
    );
  };
  return Object.assign(read, { choices: words });
}

/** `a, b or c`. */
function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** Adds to a reader what a shell can look up to complete the value. */
export function completing<T>(completes: Completes, read: (text: string) => T): ValueReader<T> {
  return Object.assign((text: string) => read(text), { completes });
}

/** Any text; `completes`: what a shell can look up to complete it. */
export function anyText(completes?: Completes): ValueReader<string> {
  return completes === undefined ? (text) => text : completing(completes, (text) => text);
}

/** The name of a file, or `-` for the caller's stdin. */
export const fileOrStdin: ValueReader<string> = Object.assign(anyText("file"), { takesDash: true });

export const runKeyValue = completing("run-key", checkRunKey);
