/** Help, made from the declarations. */
import type { Command } from "./command.ts";

export function usageLine(command: Command): string {
  return ["Usage: orchesjob", command.name, "[OPTIONS]", command.operands]
    .filter((part) => part !== undefined)
    .join(" ");
}

export function commandHelp(command: Command): string {
  const options = Object.values(command.options).map((option) => [
    option.placeholder === undefined ? option.flag : `${option.flag} ${option.placeholder}`,
    option.help,
  ]);
  return [
    command.summary,
    "",
    usageLine(command),
    "",
    "Options:",
    ...columns([...options, ["--help", "Print this help"]]),
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

export function programHelp(commands: readonly Command[]): string {
  return [
    "Runs a command once per run key, detached, and keeps the history of what happened.",
    "",
    "Usage: orchesjob COMMAND [OPTIONS]",
    "",
    "Commands:",
    ...columns(commands.map((command) => [command.name, command.summary])),
    "",
    "Options:",
    ...columns([
      ["--version", "Print the version, the commit it was built from, and Bun's version"],
      ["--help", "Print this help; COMMAND --help for that of a command"],
    ]),
    "",
    "Environment:",
    ...columns([["ORCHESJOB_HOME", "The state directory (default: /var/lib/orchesjob)"]]),
    "",
    "Exit codes: 0 success, 1 general error, 2 invalid arguments, 3 not found, 4 inconsistent or conflicting state, 5 lock error",
    "",
  ].join("\n");
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(...rows.map((row) => row[0]!.length));
  return rows.map((row) => `  ${row[0]!.padEnd(width)}  ${row[1]}`);
}
