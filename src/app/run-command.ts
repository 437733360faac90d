/** Runs one command: parses its words, builds its context, reports its errors. Workers are run by entrypoints/worker.ts instead. */
import type { Command } from "../cli/command.ts";
import { parseWords } from "../cli/options/parse.ts";
import { createOutput } from "../cli/output/output.ts";
import { report, printDiagnostic } from "../cli/output/report.ts";
import { DiskFullError, OrchesjobError, StorageError } from "../job/errors.ts";
import { OWN_FAILURE } from "../job/exit-status.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { endProcess, findInvalidArgument } from "../linux/self.ts";
import { debug, type DebugFile, setDebug } from "../state/debug.ts";
import { resolveHome } from "../state/paths.ts";
import { composeContext } from "./compose.ts";
import type { DebugOrder } from "./debug-file.ts";
import type { Inspection } from "./inspection.ts";
import { COMMIT, VERSION } from "./version.ts";

/** How long a command waits for the database, in ms. */
const BUSY_TIMEOUT_MS = 12_000;
/** The same for a command that `nonBlocking`, in ms. */
const NON_BLOCKING_BUSY_TIMEOUT_MS = 100;

export interface Streams {
  readonly stdout: number;
  readonly stderr: number;
  /** Columns of the terminal, 0 if it does not know them; undefined if stdout is none. */
  columns(): number | undefined;
  /** Rows of the terminal, 0 if it does not know them; undefined if stdout is none. */
  rows(): number | undefined;
  /** Loads what writes the debug file, a bundle of its own that all entry points share; undefined if the file cannot be opened. */
  openDebug(order: DebugOrder): Promise<DebugFile | undefined>;
}

/** The `main` of each file in entrypoints/. */
export type EntryPoint = (argv: readonly string[], streams: Streams) => Promise<never>;

/** The entry point of one command. */
export function entryPointOf(command: Command): EntryPoint {
  return async (argv, streams) => endProcess(await runCommand(command, argv, streams, [command]));
}

/**
 * Returns the exit code; reports errors on stderr. `commands`: those that `completion` and `man` describe. `inspection`: what
 * `doctor` and `metrics` need.
 */
export async function runCommand(
  command: Command,
  argv: readonly string[],
  streams: Streams,
  commands: readonly Command[],
  inspection?: Inspection,
): Promise<number> {
  const output = createOutput(streams.stdout, streams.columns, streams.rows);
  const diagnostics = createOutput(streams.stderr, () => undefined);
  const words = argv.slice(1);
  // A guess until the options are parsed: a usage error must not look like the job's own exit code 2.
  let passesExitCode = isLikeRun(command, words) || asksForExitStatus(words);
  try {
    refuseInvalidArguments(argv);
    const parsed = parseWords(command, words);
    if (parsed === undefined) {
      const { commandHelp } = await import("../cli/help/help.ts");
      output.text(commandHelp(command));
      return 0;
    }
    passesExitCode = command.passesExitCode?.(parsed.options) ?? false;
    const context = composeContext({
      home: resolveHome(),
      busyTimeoutMs: command.nonBlocking === true ? NON_BLOCKING_BUSY_TIMEOUT_MS : BUSY_TIMEOUT_MS,
      upgrades: command.nonBlocking !== true,
      diagnostics,
      inspection,
    });
    if (process.env["ORCHESJOB_DEBUG"]) setDebug(await streams.openDebug({ command: command.name, context }));
    const code = await command.run({
      ...parsed,
      context,
      output,
      program: { commands, version: VERSION, commit: COMMIT },
    });
    debug?.note(`ends with exit code ${code}`);
    return code;
  } catch (thrown) {
    debug?.note("fails", thrown);
    const error =
      thrown instanceof StorageError
        ? (await import("../state/storage-trouble.ts")).explainStorage(thrown)
        : thrown;
    const code = report(error, diagnostics.descriptor);
    if (isDiskFull(error)) await reportLargestLog(diagnostics.descriptor);
    return passesExitCode ? OWN_FAILURE : code;
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof DiskFullError || (error instanceof SystemError && error.errno === ERRNO.ENOSPC);
}

async function reportLargestLog(stderr: number): Promise<void> {
  const { describeLargestLog } = await import("../state/largest-log.ts");
  const found = describeLargestLog(resolveHome());
  if (found !== undefined) printDiagnostic(stderr, found);
}

function isLikeRun({ name }: Command, words: readonly string[]): boolean {
  return name === "run" || (name === "attach" && !words.join("=").includes("--format=json"));
}

/** Whether `--exit-status` is among orchesjob's own options, before `--`. */
export function asksForExitStatus(words: readonly string[]): boolean {
  const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words;
  return own.includes("--exit-status");
}

function refuseInvalidArguments(argv: readonly string[]): void {
  const invalid = findInvalidArgument(argv);
  if (invalid === 0) return;
  throw new OrchesjobError(
    "usage",
    `argument ${invalid} is not valid UTF-8, so it cannot be passed on exactly; nothing was started`,
  );
}
