/**
 * Generates the completion scripts: a fixed part for each shell, and tables from the declarations of the commands. The scripts
 * ask `orchesjob _complete` for what is there: run keys, job ids, labels.
 */
import type { Command } from "../command.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import type { Wording } from "./listed.ts";
import { zshScript } from "./zsh.ts";

export type Shell = "bash" | "zsh" | "fish";

export function completionScript(shell: Shell, commands: readonly Command[], wording: Wording): string {
  const listed = commands.map((command) => ({
    command,
    names: [command.name, ...(command.aliases ?? [])],
    options: [...Object.values(command.options), wording.helpOption],
  }));
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](listed, wording);
}
