/** What the script of each shell is made from, and how its fixed part is filled in. */
import type { Command, Option } from "../command.ts";

/** Texts from help.ts. The caller passes them in, so that this file, which is loaded on demand, does not import help.ts. */
export interface Wording {
  /** The help of an option, in one line. */
  readonly help: (option: Option<unknown>) => string;
  /** The option that every command has. */
  readonly helpOption: Option<unknown>;
}

export interface Listed {
  readonly command: Command;
  readonly names: readonly string[];
  readonly options: readonly Option<unknown>[];
}

export const takesKeys = ({ operandCompletes }: Command) => operandCompletes === "run-key";
export const takesSeveral = ({ operands }: Command) => operands?.endsWith("...]") === true;

export const takesCommand = ({ operands, operandChoices, operandCompletes }: Command) =>
  operands !== undefined && operandChoices === undefined && operandCompletes === undefined;

/** Replaces `@NAME@` in a script. Not with `replaceAll`, which would interpret a `$` in the text. */
export function fill(script: string, parts: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(parts).reduce(
    (text, [mark, lines]) => text.split(`@${mark}@`).join(lines.join("\n")),
    script,
  );
}

/** Quotes a text for bash or zsh. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
