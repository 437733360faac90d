/** Chooses the command, and gives it what it needs. A worker has a root of its own: see worker-app.ts. */
import type { Command, Program } from "./cli/command.ts";
import { clean } from "./cli/commands/clean.ts";
import { cancel } from "./cli/commands/cancel.ts";
import { doctor } from "./cli/commands/doctor.ts";
import { complete } from "./cli/commands/complete.ts";
import { completion } from "./cli/commands/completion.ts";
import { list } from "./cli/commands/list.ts";
import { man } from "./cli/commands/man.ts";
import { metrics } from "./cli/commands/metrics.ts";
import { rerun } from "./cli/commands/rerun.ts";
import { result } from "./cli/commands/result.ts";
import { run } from "./cli/commands/run.ts";
import { unlock } from "./cli/commands/unlock.ts";
import { wait } from "./cli/commands/wait.ts";
import { logs } from "./cli/commands/logs.ts";
import { start } from "./cli/commands/start.ts";
import { status } from "./cli/commands/status.ts";
import { systemd } from "./cli/commands/systemd.ts";
import { commandHelp, programHelp } from "./cli/help.ts";
import { nearest } from "./cli/nearest.ts";
import { createOutput, type Output } from "./cli/output.ts";
import { parseWords } from "./cli/parse.ts";
import { report } from "./cli/report.ts";
import { composeContext } from "./compose.ts";
import { OWN_FAILURE } from "./job/exit-status.ts";
import { EXIT_CODES, OrchesjobError } from "./job/errors.ts";
import { resolveHome } from "./os/home.ts";
import { findInvalidArgument } from "./os/self.ts";
import { COMMIT, VERSION } from "./version.ts";

export const COMMANDS: readonly Command[] = [
  start,
  run,
  status,
  list,
  wait,
  logs,
  result,
  cancel,
  rerun,
  unlock,
  clean,
  systemd,
  doctor,
  metrics,
  completion,
  man,
];

/** Not for people. */
const HIDDEN: readonly Command[] = [complete];

const PROGRAM: Program = { commands: COMMANDS, version: VERSION, commit: COMMIT };

/** How long a command waits for the database, in ms. */
const PATIENCE_MS = 12_000;
const PEEK_PATIENCE_MS = 100;

export interface Streams {
  readonly stdout: number;
  readonly stderr: number;
  /** Columns of the terminal that stdout is; undefined where it is none. */
  columns(): number | undefined;
  /** Its rows. */
  rows(): number | undefined;
}

/** Runs the program; returns its exit code. */
export async function runApp(argv: readonly string[], streams: Streams): Promise<number> {
  const output = createOutput(streams.stdout, streams.columns, streams.rows);
  const diagnostics = createOutput(streams.stderr, () => undefined);
  const [name, ...words] = argv;
  const command = [...COMMANDS, ...HIDDEN].find(
    (each) => each.name === name || each.aliases?.includes(name ?? ""),
  );
  // As long as the options are not known: a bad one must not look like the job's own exit code 2.
  const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words;
  let passesExitCode = command?.name === run.name || own.includes("--exit-status");
  try {
    if (command === undefined) return answerWithoutCommand(name, output, diagnostics);
    refuseInvalidArguments(argv);
    const parsed = parseWords(command, words);
    if (parsed === undefined) return say(output, commandHelp(command));
    passesExitCode = command.passesExitCode?.(parsed.options) ?? false;
    return await command.run({
      ...parsed,
      context: composeContext({
        home: resolveHome(),
        patienceMs: command.peeks === true ? PEEK_PATIENCE_MS : PATIENCE_MS,
        upgrades: command.peeks !== true,
        diagnostics,
      }),
      output,
      program: PROGRAM,
    });
  } catch (error) {
    const code = report(error, diagnostics.descriptor);
    return passesExitCode ? OWN_FAILURE : code;
  }
}

function answerWithoutCommand(name: string | undefined, output: Output, diagnostics: Output): number {
  if (name === "--help" || name === "-h" || name === "help") return say(output, programHelp(COMMANDS));
  if (name !== undefined) throw unknownCommand(name);
  diagnostics.text(programHelp(COMMANDS));
  return EXIT_CODES.usage;
}

function refuseInvalidArguments(argv: readonly string[]): void {
  const invalid = findInvalidArgument(argv);
  if (invalid === 0) return;
  throw new OrchesjobError(
    "usage",
    `argument ${invalid} is not valid UTF-8, so it could not be passed on exactly; nothing was started`,
  );
}

function say(output: Output, text: string): number {
  output.text(text);
  return 0;
}

function unknownCommand(name: string): OrchesjobError {
  const meant = nearest(
    name,
    COMMANDS.map((command) => command.name),
  );
  return new OrchesjobError(
    "usage",
    `there is no command ${JSON.stringify(name)}; ${meant === undefined ? "see: orchesjob --help" : `did you mean ${meant}?`}`,
  );
}
