/** The help texts, made from the declarations of the commands. */
import { type ErrorCode, EXIT_CODES } from "../../job/errors.ts";
import { DEFAULT_HOME } from "../../state/paths.ts";
import { type Command, flag, type Option } from "../command.ts";

export const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ["ORCHESJOB_HOME", `The state directory (default: ${DEFAULT_HOME}, for root); every other user sets it`],
  ["TZ", "Time zone of the times that are printed and read"],
  ["ORCHESJOB_FORMAT", "json or table: the format of commands that have --format, if that is not given"],
  ["NO_COLOR", "If not empty, tables on a terminal have no colours"],
  ["ORCHESJOB_DEBUG", "A file to which orchesjob appends what it does"],
];

const MEANINGS: Record<ErrorCode, string> = {
  general: "general error",
  usage: "invalid arguments",
  "not-found": "not found",
  conflict: "inconsistent or conflicting state",
  locked: "lock error",
};

export function exitCodeMeanings(): readonly (readonly [code: number, meaning: string])[] {
  const failures = Object.entries(MEANINGS).map(
    ([name, meaning]) => [EXIT_CODES[name as ErrorCode], meaning] as const,
  );
  return [[0, "success"], ...failures];
}

export function usage(command: Command): string {
  const options = Object.keys(command.options).length > 0 ? "[OPTIONS]" : undefined;
  return ["orchesjob", command.name, options, command.operands]
    .filter((part) => part !== undefined)
    .join(" ");
}

/** An option and its value, as typed. */
export function optionUsage({ flag, short, placeholder }: Option<unknown>): string {
  const names = short === undefined ? flag : `${short}, ${flag}`;
  return placeholder === undefined ? names : `${names} ${placeholder}`;
}

/** The help of an option in one line, with its choices. */
export function optionHelp({ help, repeatable, choices }: Option<unknown>): string {
  const remarks = [
    repeatable ? "may be repeated" : undefined,
    choices === undefined ? undefined : `one of ${choices.join(", ")}`,
  ];
  return [help, ...remarks].filter((part) => part !== undefined).join("; ");
}

/** The option that every command has. The parser handles it; no command declares it. */
export const HELP_OPTION: Option<unknown> = flag("--help", "Print this help");

export function commandHelp(command: Command): string {
  const options = Object.values(command.options).map((option) => [optionUsage(option), optionHelp(option)]);
  return [
    ...wrap(command.summary, LINE),
    "",
    `Usage: ${usage(command)}`,
    "",
    "Options:",
    ...columns([...options, [HELP_OPTION.flag, HELP_OPTION.help]]),
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

const FIRST_STEPS = [
  "orchesjob start -k nightly-backup -- ./backup.sh",
  "orchesjob ps",
  "orchesjob logs nightly-backup -f",
];

export function programHelp(commands: readonly Command[]): string {
  return [
    "Runs commands as background jobs: at most one job of a run key is active,",
    "and output, exit code and history stay.",
    "",
    "Usage: orchesjob COMMAND [OPTIONS]",
    "",
    "Commands:",
    ...columns(commands.map((command) => [command.name, command.summary])),
    "",
    "Options:",
    ...columns([
      ["--version", "Print the version, the commit it was built from, and Bun's version"],
      ["--help", "Print this help; orchesjob COMMAND --help prints that of a command"],
    ]),
    "",
    "Environment:",
    ...columns(ENVIRONMENT),
    "",
    "Exit codes:",
    ...columns(exitCodeMeanings().map(([code, meaning]) => [String(code), meaning])),
    "run, attach, --exit-status: the exit code of the job instead; 124: a limit ended",
    "it, 125: lost, or orchesjob failed",
    "",
    "First steps (nightly-backup is a name of yours for the work, its run key):",
    ...FIRST_STEPS.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

/** The width of a line, except that of an example, which people copy. */
const LINE = 80;
/** A longer name stands on a line of its own. */
const LONGEST_NAME = 24;

function columns(rows: readonly (readonly string[])[]): string[] {
  const names = rows.map((row) => row[0]!.length).filter((length) => length <= LONGEST_NAME);
  const width = Math.max(...names);
  const indent = " ".repeat(width + 4);
  return rows.flatMap(([name = "", text = ""]) => {
    const [first = "", ...rest] = wrap(text, LINE - indent.length);
    const lines = name.length > width ? [`  ${name}`, indent + first] : [`  ${name.padEnd(width)}  ${first}`];
    return [...lines, ...rest.map((line) => indent + line)];
  });
}

/** Lines of at most `width` characters, broken at blanks. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
