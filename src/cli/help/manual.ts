/** The man page, in roff with the man(7) macros, made from the declarations of the commands. The same program, the same bytes. */
import type { Command, Option } from "../command.ts";

/** What else the page tells, given by the caller: see loading on demand in commands/. */
export interface ManualFacts {
  readonly version: string;
  readonly defaultHome: string;
  readonly usage: (command: Command) => string;
  readonly help: (option: Option<unknown>) => string;
  /** Of every command. */
  readonly helpOption: Option<unknown>;
  readonly environment: readonly (readonly [name: string, meaning: string])[];
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}

const DESCRIPTION = [
  "orchesjob runs a command once per run key: while a job of a key is active, every further start of that key gives back the same job instead of a second one. The job goes on by itself when the caller dies, the SSH session breaks or the terminal closes, and its output, exit code and history stay.",
  "Every command but run and logs answers with JSON on standard output, unless it is asked for a table. What is meant for people goes to standard error.",
  "Options end at the first word that is not one, or at --. The value of an option is the next word, or follows =; one that begins with - must follow =.",
  "Durations are written as 90, 0.5, 90s, 30m, 2h, 1d or 1h30m; the greatest is 36600d. Times are written in any form of ISO 8601 (2026-01-31, 20260131T1800, 2026-W05-6, 2026-01-31T18:00:00+09:00), or as a duration with its unit: so long ago. Without an offset they are local time; where the clock was set back, so that an hour comes twice, the first one is meant; an hour that the clock has skipped is the moment of the skip.",
];

const PASSED_ON_EXIT_CODES: readonly (readonly [string, string])[] = [
  ["0-123", "The job's own code"],
  ["124", "A time limit has ended it, or wait --timeout is over"],
  ["125", "A failure of orchesjob, or the job was lost or could not be launched"],
  ["126", "The command is not executable"],
  ["127", "The command was not found"],
  ["128+N", "Signal N has ended it"],
];

/** Set by orchesjob, for the command. */
const COMMAND_ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["ORCHESJOB_JOB_ID", "For the command: the id of its job"],
  ["ORCHESJOB_RUN_KEY", "For the command: the run key"],
  ["ORCHESJOB_ATTEMPT", "For the command: 1, 2, ... within the history of the key"],
];

const FILES: readonly (readonly [string, string])[] = [
  ["orchesjob.db", "The jobs: an SQLite database, to which orchesjob.db-wal and orchesjob.db-shm belong"],
  ["logs/JOB-ID.stdout, logs/JOB-ID.stderr", "What the command of a job has written"],
  ["locks/JOB-ID", "Locked by the worker of an active job"],
];

export function manual(commands: readonly Command[], facts: ManualFacts): string {
  const { version, defaultHome, usage, help, helpOption, environment, exitCodes } = facts;
  const lines = [
    `.TH ORCHESJOB 1 "" "orchesjob ${escape(version)}" "User Commands"`,
    // Command lines are copied from here: no word of them may be divided, and no space between them be made wider.
    ".nh",
    ".ad l",
    ".SH NAME",
    text("orchesjob - run a command once per run key, detached, and keep its history"),
    ".SH SYNOPSIS",
    ...commands.flatMap((command, index) => [...(index === 0 ? [] : [".br"]), synopsis(usage(command))]),
    ".br",
    synopsis("orchesjob --help"),
    ".br",
    synopsis("orchesjob --version"),
    ".SH DESCRIPTION",
    ...DESCRIPTION.flatMap((paragraph, index) => [...(index === 0 ? [] : [".PP"]), text(paragraph)]),
    ".SH COMMANDS",
    ...commands.flatMap((command) => [
      `.SS ${escape(command.name)}`,
      text(`${command.summary}.${spelled(command)}`),
      ...[...Object.values(command.options), helpOption].flatMap((option) => [
        ".TP",
        optionTag(option),
        text(help(option)),
      ]),
    ]),
    ".SH EXIT STATUS",
    ...entries(exitCodes.map(([code, meaning]) => [String(code), meaning])),
    ".PP",
    text("Where the job's own code is passed on (run, --exit-status):"),
    ...entries(PASSED_ON_EXIT_CODES),
    ".SH ENVIRONMENT",
    ...entries([...environment, ...COMMAND_ENVIRONMENT]),
    ".SH FILES",
    text(`In the state directory, ${defaultHome} or what ORCHESJOB_HOME names:`),
    ...entries(FILES),
    ".SH EXAMPLES",
    ...commands.flatMap(({ examples }) =>
      examples.flatMap((example) => [".PP", ".nf", text(example), ".fi"]),
    ),
    ".SH SEE ALSO",
    ".BR systemd\\-run (1),",
    ".BR flock (1),",
    ".BR timeout (1),",
    ".BR setsid (1),",
    ".BR cron (8)",
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function spelled({ aliases = [] }: Command): string {
  return aliases.length === 0 ? "" : ` Also spelled ${aliases.join(", ")}.`;
}

function synopsis(line: string): string {
  const [program, ...words] = line.split(" ");
  return `\\fB${escape(program!)}\\fR ${escape(words.join(" "))}`;
}

function optionTag({ flag, placeholder }: Option<unknown>): string {
  return `\\fB${escape(flag)}\\fR${placeholder === undefined ? "" : ` \\fI${escape(placeholder)}\\fR`}`;
}

function entries(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([name, meaning]) => [".TP", `\\fB${escape(name)}\\fR`, text(meaning)]);
}

/** A line of text: a dot or an apostrophe at its beginning would make it a request. */
function text(line: string): string {
  return escape(line).replace(/^[.']/, "\\&$&");
}

/** Every character as it is meant: copied from the page, a minus must be one, and nothing outside of ASCII is left to guesses. */
function escape(line: string): string {
  return [...line]
    .map((character) => {
      const special = SPECIAL[character];
      if (special !== undefined) return special;
      const code = character.codePointAt(0)!;
      return code < 128 ? character : `\\[u${code.toString(16).toUpperCase().padStart(4, "0")}]`;
    })
    .join("");
}

const SPECIAL: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "'": "\\(aq",
  "`": "\\(ga",
  "^": "\\(ha",
  "~": "\\(ti",
  '"': "\\(dq",
};
