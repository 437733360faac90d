/** The declaration of a command. Parsing, help, manual page and completion are derived from it. */
import { OrchesjobError } from "../job/errors.ts";
import type { Context } from "../state/context.ts";
import type { Schema } from "./answers/schema.ts";
import type { Output } from "./output/output.ts";

/** What a shell can look up to complete a value. */
export type Completes = "run-key" | "job-id" | "label" | "label-name" | "field" | "directory" | "file";

/** Parses the text of a value, and says what a shell may offer for it. Throws OrchesjobError `usage` on a bad value. */
export interface ValueReader<T> {
  (text: string): T;
  /** All allowed values, if there are few. */
  readonly choices?: readonly string[] | undefined;
  readonly completes?: Completes | undefined;
  /** Accepts a lone `-`, which means stdin, as the next word. Any other value that begins with `-` must follow `=`. */
  readonly takesDash?: boolean | undefined;
}

/** An option of a command. `T` is the type of its value in the options that `run` gets. */
export interface Option<T> extends Pick<ValueReader<T>, "choices" | "completes" | "takesDash"> {
  /** With its dashes: `--run-key`. */
  readonly flag: string;
  /** A short form, with its dash: `-k`. */
  readonly short?: string;
  /** Name of the value in help, e.g. `KEY`; undefined for a switch. */
  readonly placeholder?: string;
  readonly help: string;
  /** May be given more than once. */
  readonly repeatable?: boolean;
  /** The parser refuses a command line without it, so `read` gets at least one value. */
  readonly isRequired?: boolean;
  /** Parses the values that were given, in order; a switch is given as `""`. Throws OrchesjobError `usage`. */
  read(given: readonly string[]): T;
}

type Values<O> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** Facts about the program, for commands that describe it. */
export interface Program {
  readonly commands: readonly Command[];
  readonly version: string;
  readonly commit: string;
}

export interface Invocation<O> {
  readonly options: Values<O>;
  /** The words after the options. */
  readonly operands: readonly string[];
  readonly context: Context;
  readonly output: Output;
  readonly program: Program;
}

type OptionTable = Readonly<Record<string, Option<unknown>>>;

export interface Command<O extends OptionTable = OptionTable> {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** What the usage line shows after the options; undefined if the command takes no operands. */
  readonly operands?: string;
  /** Allowed values of the only operand; undefined if the operands are a command and its arguments. */
  readonly operandChoices?: readonly string[];
  /** What a shell can look up to complete an operand; undefined if the operands are a command and its arguments. */
  readonly operandCompletes?: Completes;
  /** Options may stand before, between and after the operands. */
  readonly isInterleaved?: boolean;
  readonly options: O;
  readonly examples: readonly string[];
  /** Loads the declaration of what it prints as JSON; undefined: it prints none. */
  readonly answer?: () => Promise<Schema>;
  /** Whether the exit code is the job's own. Failures of orchesjob then exit 125, so that they can be told apart. */
  readonly passesExitCode?: (options: Values<O>) => boolean;
  /** A shell runs it while a person types: it hardly waits for the database, and does not upgrade an older one. */
  readonly nonBlocking?: boolean;
  /** Returns the exit code. */
  run(invocation: Invocation<O>): Promise<number>;
}

/** Returns the command unchanged; lets TypeScript infer the types of the options for `run`. */
export function defineCommand<const O extends OptionTable>(command: Command<O>): Command {
  return command as unknown as Command;
}

export function flag(name: string, help: string): Option<boolean> {
  return { flag: name, help, read: (given) => given.length > 0 };
}

/** Gives an option a short form: `-k`. */
export function short<T>(letter: string, option: Option<T>): Option<T> {
  return { ...option, short: letter };
}

/** An option that may be left out. `parse` throws OrchesjobError `usage` on a bad value. */
export function optional<T>(
  name: string,
  placeholder: string,
  help: string,
  parse: ValueReader<T>,
): Option<T | undefined> {
  return withDefault<T | undefined>(name, placeholder, help, parse, undefined);
}

export function withDefault<const T>(
  name: string,
  placeholder: string,
  help: string,
  parse: ValueReader<T>,
  value: T,
): Option<T> {
  return {
    flag: name,
    placeholder,
    help,
    choices: parse.choices,
    completes: parse.completes,
    takesDash: parse.takesDash,
    read: (given) => (given.length === 0 ? value : parse(single(name, given))),
  };
}

export function required<T>(
  name: string,
  placeholder: string,
  help: string,
  parse: ValueReader<T>,
): Option<T> {
  return {
    ...optional(name, placeholder, help, parse),
    isRequired: true,
    read: (given) => parse(single(name, given)),
  };
}

/** An option that may be given more than once. `parse` gets each value, and throws OrchesjobError `usage` on a bad one. */
export function repeated<T>(
  name: string,
  placeholder: string,
  help: string,
  parse: ValueReader<T>,
): Option<readonly T[]> {
  return {
    ...optional(name, placeholder, help, parse),
    repeatable: true,
    read(given) {
      const values: T[] = [];
      for (const text of given) values.push(parse(text));
      return values;
    },
  };
}

function single(name: string, given: readonly string[]): string {
  if (given.length > 1)
    throw new OrchesjobError("usage", `${name} is given ${given.length} times`, "give it once");
  return given[0]!;
}
