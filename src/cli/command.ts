/** A command is declared once; parsing, help and all that is said about it come from the declaration. */
import { OrchesjobError } from "../job/errors.ts";
import type { Context } from "../state/context.ts";
import type { Output } from "./output/output.ts";

/** What a shell can look up to complete a value. */
export type Completes = "run-key" | "job-id" | "directory" | "file";

/** How the text of a value is read, and what a shell may offer for it. Throws OrchesjobError `usage` on a bad one. */
export interface ValueReader<T> {
  (text: string): T;
  /** All values that there are, where they are few. */
  readonly choices?: readonly string[] | undefined;
  readonly completes?: Completes | undefined;
  /** A lone `-` is a value, and stands for stdin; any other value that begins with `-` must stand behind `=`. */
  readonly takesDash?: boolean | undefined;
}

/** An option of a command, with the type of its value in what `run` is given. */
export interface Option<T> extends Pick<ValueReader<T>, "choices" | "completes" | "takesDash"> {
  /** With its dashes: `--run-key`. */
  readonly flag: string;
  /** Word for the value in help, e.g. `KEY`; undefined for a switch. */
  readonly placeholder?: string;
  readonly help: string;
  /** May be given many times. */
  readonly repeatable?: boolean;
  /** `read` is given at least one value: who leaves the option out is told so before. */
  readonly isRequired?: boolean;
  /** What was given, in order; a switch is given as `""`. Throws OrchesjobError `usage`. */
  read(given: readonly string[]): T;
}

type Values<O> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** What the program is, for the commands that describe it. */
export interface Program {
  readonly commands: readonly Command[];
  readonly version: string;
  readonly commit: string;
}

export interface Invocation<O> {
  readonly options: Values<O>;
  /** What follows the options. */
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
  /** What follows the options in the usage line; undefined where nothing may. */
  readonly operands?: string;
  /** What the only operand may be; without them the operands are a command and its words. */
  readonly operandChoices?: readonly string[];
  readonly options: O;
  readonly examples: readonly string[];
  /** Whether the exit code is the job's own, so that a failure of ours must be told apart (125). */
  readonly passesExitCode?: (options: Values<O>) => boolean;
  /** Asked by a shell while somebody types: it waits for nobody, and an older database is left as it is. */
  readonly peeks?: boolean;
  /** Returns the exit code. */
  run(invocation: Invocation<O>): Promise<number>;
}

/** Only for the types: the options' values are inferred for `run`. */
export function defineCommand<const O extends OptionTable>(command: Command<O>): Command {
  return command as unknown as Command;
}

export function flag(name: string, help: string): Option<boolean> {
  return { flag: name, help, read: (given) => given.length > 0 };
}

/** A value that may be left out. `parse` throws OrchesjobError `usage` on a bad one. */
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

/** An option that may be given many times. `parse` is given each value, and throws OrchesjobError `usage` on a bad one. */
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
