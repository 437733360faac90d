/** The composition root: chooses the command, and builds what it needs. */
import type { Command, Program } from "./cli/command.ts";
import { clean } from "./cli/commands/clean.ts";
import { hook } from "./cli/commands/hook.ts";
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
import { worker } from "./cli/commands/worker.ts";
import { commandHelp, programHelp } from "./cli/help.ts";
import { nearest } from "./cli/nearest.ts";
import { createOutput, type Output } from "./cli/output.ts";
import { parseWords } from "./cli/parse.ts";
import { report } from "./cli/report.ts";
import type { Origin } from "./job/job.ts";
import { OWN_FAILURE } from "./job/exit-status.ts";
import { EXIT_CODES, OrchesjobError } from "./job/errors.ts";
import { checkHome, createHome, homeAt, refuseLostDatabase, resolveHome } from "./os/home.ts";
import { findInvalidArgument, readOrigin } from "./os/self.ts";
import type { Context } from "./runner/context.ts";
import { openSqliteStore } from "./store/sqlite/sqlite-store.ts";
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

/** Those that we start ourselves, and nobody waits for. */
const DETACHED: readonly Command[] = [worker, hook];

/** Not for people. */
const HIDDEN: readonly Command[] = [...DETACHED, complete];

const PROGRAM: Program = { commands: COMMANDS, version: VERSION, commit: COMMIT };

/** How long a command waits for the database, in ms. A worker asks again and again, and must in between hear signals,
 *  and the end of its command, whose time it notes. */
const PATIENCE_MS = 12_000;
const WORKER_PATIENCE_MS = 100;
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
      context: createContext(command, parsed.options, diagnostics),
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

function createContext(
  command: Command,
  options: Readonly<Record<string, unknown>>,
  diagnostics: Output,
): Context {
  const isWorker = DETACHED.includes(command);
  const home = isWorker ? homeAt(String(options["home"])) : resolveHome();
  const peeks = command.peeks === true;
  const patienceMs = isWorker ? WORKER_PATIENCE_MS : peeks ? PEEK_PATIENCE_MS : PATIENCE_MS;
  const notify = (message: string) => diagnostics.text(`orchesjob: ${message}\n`);
  const progress = (message: string) => {
    if (process.getBuiltinModule("node:tty").isatty(diagnostics.descriptor)) notify(message);
  };
  const open = (create: boolean) =>
    openSqliteStore(home.database, {
      create,
      patienceMs,
      acceptNewer: isWorker,
      upgrades: !peeks,
      notify,
      progress,
    });
  let origin: Origin | undefined;
  return {
    home,
    // Three files of /proc that a look at a finished job does not need.
    get origin() {
      return (origin ??= readOrigin());
    },
    openStore: () => (checkHome(home) ? open(false) : undefined),
    createStore() {
      createHome(home);
      refuseLostDatabase(home);
      return open(true)!;
    },
    async examineStore() {
      const { examineDatabase } = await import("./store/sqlite/examine.ts");
      return examineDatabase(home.database, patienceMs, () => open(false)!);
    },
    stderr: diagnostics.descriptor,
    notify,
    progress,
  };
}
