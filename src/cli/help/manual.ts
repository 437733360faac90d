/** The man page, in roff with the man(7) macros, made from the declarations of the commands. It is reproducible: no date in it. */
import type { Command, Option } from "../command.ts";

/** Texts from other files. The caller passes them in, so that this file, which is loaded on demand, does not import them. */
export interface ManualFacts {
  readonly version: string;
  readonly defaultHome: string;
  readonly usage: (command: Command) => string;
  readonly help: (option: Option<unknown>) => string;
  /** The option that every command has. */
  readonly helpOption: Option<unknown>;
  readonly environment: readonly (readonly [name: string, meaning: string])[];
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}

const DESCRIPTION = [
  "orchesjob runs a command once per run key: while a job of a run key is active, every further start of that key returns this job and does not start a second one. The job goes on if the caller dies, the SSH session breaks or the terminal closes. Its output, exit code and history stay until clean deletes them.",
  "Commands answer with JSON on standard output, except run, logs, metrics, completion and man, or if a table is asked for. Messages for people go to standard error.",
  "Options of start and run end at the first word that is not one, or at --. The value of an option is the next word, or follows =. A value that begins with - must follow =.",
  "Where no command follows, a run key may stand as a word: orchesjob logs KEY. KEY#3 is the third job of the key, unless there is a run key of that name. A job id may stand there, too, if no run key has that name.",
  "Durations are written as 90, 0.5, 90s, 30m, 2h, 1d or 1h30m; the longest is 36600d. Times are written in any form of ISO 8601 (2026-01-31, 20260131T1800, 2026-W05-6, 2026-01-31T18:00:00+09:00), or as a duration with a unit, which means that long ago. A time without an offset is local time. If an hour occurs twice because the clock was set back, the first one is meant. A time that the clock skipped means the moment of the skip.",
];

const PASSED_ON_EXIT_CODES: readonly (readonly [string, string])[] = [
  ["0-123", "The exit code of the command"],
  [
    "124",
    "A limit ended the job (--timeout, --on-stall cancel, --on-log-limit end), or the time of wait --timeout is over",
  ],
  [
    "125",
    "orchesjob failed (also: invalid arguments, no such job, a log is gone), or the job is LOST, or it could not be launched",
  ],
  ["126", "The command is not executable"],
  ["127", "The command was not found"],
  ["128+N", "Signal N ended the command"],
];

/** Variables that orchesjob sets for the command. */
const COMMAND_ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["ORCHESJOB_JOB_ID", "Set for the command: the id of its job"],
  ["ORCHESJOB_RUN_KEY", "Set for the command: its run key"],
  ["ORCHESJOB_ATTEMPT", "Set for the command: 1, 2, ... within the history of the key"],
];

const FILES: readonly (readonly [string, string])[] = [
  ["orchesjob.db", "The jobs: an SQLite database, with orchesjob.db-wal and orchesjob.db-shm"],
  ["logs/JOB-ID.stdout, logs/JOB-ID.stderr", "The output of a job's command"],
  ["locks/JOB-ID", "Locked by the worker of an active job"],
];

export function manual(commands: readonly Command[], facts: ManualFacts): string {
  const { version, defaultHome, usage, help, helpOption, environment, exitCodes } = facts;
  const lines = [
    `.TH ORCHESJOB 1 "" "orchesjob ${escape(version)}" "User Commands"`,
    // No hyphenation, no justification: people copy command lines from here.
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
    text(
      "run, attach (without --format json), start --sync --exit-status and wait --exit-status exit with the code of the job instead:",
    ),
    ...entries(PASSED_ON_EXIT_CODES),
    ".SH ENVIRONMENT",
    ...entries([...environment, ...COMMAND_ENVIRONMENT]),
    ".SH FILES",
    text(`In the state directory, which is ${defaultHome} unless ORCHESJOB_HOME is set:`),
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

function optionTag({ flag, short, placeholder }: Option<unknown>): string {
  const bold = (name: string) => `\\fB${escape(name)}\\fR`;
  return `${short === undefined ? "" : `${bold(short)}, `}${bold(flag)}${placeholder === undefined ? "" : ` \\fI${escape(placeholder)}\\fR`}`;
}

function entries(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([name, meaning]) => [".TP", `\\fB${escape(name)}\\fR`, text(meaning)]);
}

/** A line of text. Protects a dot or an apostrophe at its beginning, which would make it a roff request. */
function text(line: string): string {
  return escape(line).replace(/^[.']/, "\\&$&");
}

/** Escapes a text for roff, so that a minus copied from the page is one, and no non-ASCII character depends on the locale. */
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
