/**
 * Runs the hooks of a job whose end is recorded: each at least once, and never twice at the same time. Two locks ensure that.
 * The process that runs the hooks holds one (locks/<job-id>.hook), which proves that it lives. The processes of a hook hold the
 * other, on their output (logs/<job-id>.hook or .failure-hook): so the next runner waits for a hook that outlived its runner.
 */
import { formatExactly } from "../job/duration.ts";
import { dueHooks, type EndHook, hookOf } from "../job/hook.ts";
import type { HookKind, HookOrder, HookResult, Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { openNothing } from "../linux/caller.ts";
import { type ExitStatus, onExit } from "../linux/children.ts";
import { after, now } from "../linux/clock.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { tryLockDescriptor } from "../linux/file-lock.ts";
import { closeFile, makeDirectory, moveUp, openFile, readInto, removeFile, seek } from "../linux/file.ts";
import { makeMemoryFile } from "../linux/pipe.ts";
import type { ProcessStat } from "../linux/self.ts";
import { signalName } from "../linux/signals.ts";
import { describeShortage } from "../linux/spawn.ts";
import { statFd } from "../linux/stat.ts";
import { ProcessTable } from "../processes/table.ts";
import { Deadline, DEFAULT_GRACE_MS, endAll } from "../processes/terminate.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { hookLock, hookLog } from "../state/paths.ts";
import type { RetryingStore } from "../state/retrying-store.ts";
import { type HookSettings, spawnHook } from "./spawn.ts";

/** How long the runner tries to record the result, in ms. After that the hook will run again, which hooks must tolerate. */
const RECORD_TIMEOUT_MS = 600_000;
/** Pause between two checks whether a hook that outlived its runner has ended, in ms. */
const LOOK_MS = 50;
/** How much of the hook's last line is recorded, in bytes. */
const LAST_WORDS_BYTES = 300;

/** For the debug file. */
const NAMES: Readonly<Record<EndHook, string>> = { exit: "hook", failure: "failure hook" };

export interface HookStage {
  readonly context: Context;
  readonly retryingStore: RetryingStore;
  /** The job as `status` prints it: what the hook reads. */
  readonly describe: (job: Job) => string;
  readonly settings: HookSettings;
}

/** Runs the hooks that are due, side by side, records how they ended, and releases `lock` (see takeHookLock). */
export async function runHooks(stage: HookStage, jobId: string, lock: number): Promise<void> {
  try {
    const job = await lookAt(stage, jobId);
    const ran = await Promise.all(
      (job === undefined ? [] : dueHooks(job)).map((kind) => run(stage, job!, kind)),
    );
    if (ran.includes(false) || (job !== undefined && isActive(job.status))) return;
    // Delete the lock file only when no hook will run again: two runners must not lock two files of this name.
    removeFile(hookLock(stage.context.home, jobId));
  } finally {
    closeFile(lock);
  }
}

async function lookAt({ retryingStore }: HookStage, jobId: string): Promise<Job | undefined> {
  return (await retryingStore.write(async (store) => ({ job: await store.find(jobId) }), RECORD_TIMEOUT_MS))
    ?.job;
}

/** Runs a hook of a job unless another process has. Returns false if it stays due. */
async function run(stage: HookStage, job: Job, kind: EndHook): Promise<boolean> {
  const { context, retryingStore } = stage;
  const log = hookLog(context.home, job.jobId, kind);
  const output = openOutput(context, log);
  try {
    if (!(await outlast(stage, job, hookOf(job, kind)!.timeoutMs, { kind, log, output }))) {
      debug?.note(`the ${NAMES[kind]} stays due: processes of an earlier run live, and cannot be ended`);
      return false;
    }
    // The earlier run may have been recorded meanwhile: if somebody deleted the lock file, its runner may live.
    const latest = await lookAt(stage, job.jobId);
    if (latest !== undefined && dueHooks(latest).includes(kind)) {
      const result = await execute(stage, latest, hookOf(latest, kind)!, { kind, log, output });
      await retryingStore.write((store) => store.recordHook(job.jobId, kind, result), RECORD_TIMEOUT_MS);
      debug?.note(`recorded the result of the ${NAMES[kind]}`);
    }
    return true;
  } finally {
    closeFile(output);
  }
}

/** A hook, the file of its output, and our descriptor of that. */
interface HookPlace {
  readonly kind: HookKind;
  readonly log: string;
  readonly output: number;
}

/** Opens the hook's output. If that fails, the hook runs without: it matters more than its output. */
export function openOutput(context: Context, path: string): number {
  try {
    makeDirectory(context.home.logs);
    return moveUp(openFile(path, "append"));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    debug?.note("the hook runs without a log", error);
    return openNothing();
  }
}

/**
 * Takes the lock of the output once the processes of an earlier run have ended, by themselves or because we ended them.
 * Returns false if they have not. They are recognized by that lock, which also works across containers, or by their
 * environment if they closed the output.
 */
async function outlast(
  { context }: HookStage,
  job: Job,
  timeoutMs: number,
  place: HookPlace,
): Promise<boolean> {
  const { log, output } = place;
  const isFile = statFd(output)?.kind === "file";
  const isOver = () =>
    (!isFile || tryLockDescriptor(output, log)) && findProcesses(context, job, place).length === 0;
  const endAt = performance.now() + timeoutMs;
  for (;;) {
    if (isOver()) return true;
    if (performance.now() >= endAt) break;
    await Bun.sleep(LOOK_MS);
  }
  await endProcesses(context, job, place);
  return isOver();
}

export async function execute(
  stage: Omit<HookStage, "retryingStore">,
  job: Job,
  hook: HookOrder,
  place: HookPlace,
): Promise<HookResult> {
  const { kind, log, output } = place;
  const begin = statFd(output)?.size ?? 0;
  // Complete before anybody reads it: a hook that outlives us must not have read half of it.
  const input = makeMemoryFile(new TextEncoder().encode(stage.describe(job)));
  let pid: number;
  try {
    pid = spawnHook(stage.context.home, job, kind, hook.command, { input, output }, stage.settings);
    debug?.note(`started hook ${pid}`);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    debug?.note("cannot start the hook", error);
    return { exitCode: -1, error: describeShortage(error.errno) ?? error.message, finishedAt: now() };
  } finally {
    closeFile(input);
  }
  const ended = new Promise<ExitStatus>((resolve) => onExit(pid, resolve));
  const tooLong = new Promise<undefined>((resolve) => after(hook.timeoutMs, () => resolve(undefined)));
  const status = await Promise.race([ended, tooLong]);
  debug?.note(status === undefined ? "the time of the hook is over: ends it" : `hook ${describeEnd(status)}`);
  if (status !== undefined) return toResult(status, lastWords(log, begin));
  await endProcesses(stage.context, job, place);
  // It has ended by now, unless the kernel holds it.
  const killed = await Promise.race([ended, Bun.sleep(1_000).then(() => undefined)]);
  const why = `timed out after ${formatExactly(hook.timeoutMs)}`;
  return {
    exitCode: killed === undefined ? null : toExitCode(killed),
    error: withWords(why, lastWords(log, begin)),
    finishedAt: now(),
  };
}

function findProcesses(context: Context, job: Job, { kind, log }: HookPlace): readonly ProcessStat[] {
  return new ProcessTable(context.origin).ofHook(job, kind, log).filter(({ pid }) => pid !== process.pid);
}

async function endProcesses(context: Context, job: Job, place: HookPlace): Promise<void> {
  await endAll({ look: () => findProcesses(context, job, place) }, new Deadline(DEFAULT_GRACE_MS));
}

function toResult(status: ExitStatus, words: string): HookResult {
  const exitCode = toExitCode(status);
  const why = "code" in status ? `exit code ${status.code}` : describeEnd(status);
  return { exitCode, error: exitCode === 0 ? null : withWords(why, words), finishedAt: now() };
}

function describeEnd(status: ExitStatus): string {
  return "code" in status ? `ended with exit code ${status.code}` : `ended by ${signalName(status.signal)}`;
}

function toExitCode(status: ExitStatus): number {
  return "code" in status ? status.code : -status.signal;
}

function withWords(why: string, words: string): string {
  return words === "" ? why : `${why}: ${words}`;
}

/**
 * Returns the last line that the hook wrote: after byte `begin` of its log, or, if the hook truncated it, from its beginning.
 */
function lastWords(log: string, begin: number): string {
  let fd: number;
  try {
    fd = openFile(log, "read");
  } catch {
    // The output was not kept.
    return "";
  }
  try {
    const size = statFd(fd)?.size ?? 0;
    const buffer = new Uint8Array(LAST_WORDS_BYTES);
    seek(fd, Math.max(size < begin ? 0 : begin, size - LAST_WORDS_BYTES));
    const text = new TextDecoder().decode(buffer.subarray(0, readInto(fd, buffer)));
    return text.trimEnd().split("\n").at(-1)!.trim();
  } finally {
    closeFile(fd);
  }
}
