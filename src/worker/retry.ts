/**
 * Tries a failed command again. The worker records the failed attempt and accepts the next one in one transaction, so the run
 * key is never free in between, and it holds the lock of the next attempt before that. Then it executes itself anew, in the same
 * process: with the same scope, children and lock, but with the command line, the environment and the memory of a new worker.
 */
import { SystemError } from "../linux/ffi/call.ts";
import { OrchesjobError } from "../job/errors.ts";
import type { Instant, Job, NewJob, Outcome } from "../job/job.ts";
import { OWN_STDIN } from "../job/output.ts";
import { nextDelayMs } from "../job/retry.ts";
import { isActive } from "../job/status.ts";
import { bootTimeMs, now } from "../linux/clock.ts";
import { closeFile, linkFile, openFile, removeFile, syncDirectory } from "../linux/file.ts";
import { becomeOrdinary } from "../linux/oom-score.ts";
import { replaceProcess } from "../linux/replace-process.ts";
import { readIdentity, releaseMemory } from "../linux/self.ts";
import { JOB_ID_VARIABLE, TOKEN_VARIABLE } from "../processes/variables.ts";
import type { Context } from "../state/context.ts";
import { debug, debugWords } from "../state/debug.ts";
import { createLock } from "../state/job-lock.ts";
import { lockFilePath, stdinFile } from "../state/paths.ts";
import type { RetryingStore } from "../state/retrying-store.ts";
import { findOrAdopt, type Settle } from "./adopt.ts";
import type { Ending } from "./execute.ts";
import { UNKNOWN } from "./outcome.ts";
import type { PipedOutput } from "./output.ts";
import type { SignalRelay } from "./signal-relay.ts";
import { watchFleet } from "./turn.ts";
import { WORKER_DIRECTORY_FD, WORKER_INPUT_FD, WORKER_LOCK_FD } from "./spawn.ts";
import type { TargetSettings } from "./target.ts";
import type { WakeUps } from "./wake-ups.ts";

/** How long a worker tries to create the files of the next attempt, in ms. Then there is none. */
const PREPARE_TIMEOUT_MS = 120_000;
const PAUSE_MS = 500;

export interface Attempt {
  readonly context: Context;
  readonly retryingStore: RetryingStore;
  readonly wakeUps: WakeUps;
  readonly signals: SignalRelay;
  readonly settings: TargetSettings;
  readonly settle: Settle;
  readonly piped: PipedOutput | undefined;
  /** The scope that the worker is in. */
  readonly unit: string | null;
}

/** A job and how it has ended, which is not recorded yet. */
interface Last {
  readonly job: Job;
  readonly ending: Ending;
}

/** The next attempt, accepted. */
interface NextAttempt {
  readonly job: Job;
  /** Its lock; held. */
  readonly lock: number;
  /** When it may launch its command, on the clock of bootTimeMs. */
  readonly notBefore: number;
}

/**
 * Goes on with the next attempt of a job that has failed, and does not return then. Returns what is to be recorded if there is
 * no further attempt.
 */
export async function tryAgain(attempt: Attempt, job: Job, failed: Ending): Promise<Last> {
  const { context, retryingStore, signals, piped } = attempt;
  const ending = await untilNoneLives(attempt, job, failed);
  // Whoever signals the worker stops the run: a shutdown, for example.
  if (ending.event !== "fail" || ending.aftermath || signals.heard.size > 0) return { job, ending };
  const next = await acceptNextAttempt(attempt, job, ending);
  if (next === undefined) return { job, ending };
  discard([lockFilePath(context.home, job.jobId)]);
  // Nothing of this process's memory is left afterwards.
  piped?.drain();
  retryingStore.disconnect();
  const error = await becomeNextWorker(attempt, next);
  debug?.note("cannot become the worker of the next attempt", error);
  closeFile(next.lock);
  const why = error instanceof Error ? error.message : String(error);
  const outcome: Outcome = { ...UNKNOWN, exitCode: -1, error: why, failure: "not_launched" };
  const notLaunched = { event: "fail", outcome, target: null, endedAt: now(), leftBehind: null } as const;
  return { job: next.job, ending: notLaunched };
}

/**
 * Waits until no process of a command that was ended early lives: it must not meet the next attempt. Also waits for the command
 * of --on-stall, whose time limit this process keeps. The job stays RUNNING meanwhile, and can be cancelled.
 */
async function untilNoneLives(attempt: Attempt, job: Job, ending: Ending): Promise<Ending> {
  const { context, retryingStore, wakeUps, signals, settle } = attempt;
  if (ending.aftermath === undefined && ending.stallHook === undefined) return ending;
  debug?.note("waits for the end of all processes before the next attempt");
  const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<"cancel" | "fail">();
  const look = async () => {
    const found = await retryingStore.write((store) => findOrAdopt(context, store, job, settle));
    const isCancelled = found !== undefined && found.cancelRequest !== null;
    // A command that has ended by itself keeps its own result.
    if (isCancelled) interrupt(ending.aftermath === undefined ? "fail" : "cancel");
    else if (found === undefined || !isActive(found.status)) interrupt("fail");
    else {
      retryingStore.disconnect();
      releaseMemory();
    }
  };
  const stopHearing = wakeUps.hear(() => void look());
  signals.onHeard = () => interrupt("fail");
  if (signals.heard.size > 0) interrupt("fail");
  const fleet = await watchFleet(context, job, () => interrupt("fail"));
  void look();
  const gone = Promise.all([ending.aftermath?.(false), ending.stallHook]).then(([end]) => end);
  const result = await Promise.race([gone.then((end) => ({ end })), interrupted]);
  stopHearing();
  fleet?.end();
  signals.onHeard = undefined;
  const isOver = ending.aftermath === undefined;
  if (typeof result === "string")
    return { ...ending, event: result, aftermath: isOver ? undefined : () => gone };
  if (isOver) return ending;
  const { exitCode, signal, usage } = result.end ?? ending.outcome;
  const outcome = { ...ending.outcome, exitCode, signal, usage };
  return { ...ending, outcome, leftBehind: [], aftermath: undefined };
}

/**
 * Accepts the next attempt of a job that has failed. Undefined if there must be none: somebody has cancelled the job meanwhile,
 * or its files cannot be created. Then the failure is not recorded yet.
 */
async function acceptNextAttempt(
  { context, retryingStore, signals }: Attempt,
  job: Job,
  { outcome, target, endedAt, leftBehind }: Ending,
): Promise<NextAttempt | undefined> {
  const delayMs = nextDelayMs(job.retry!);
  const notBefore = bootTimeMs() + delayMs;
  const next = describeNext(context, job, now() + delayMs * 1_000);
  const lockFile = lockFilePath(context.home, next.jobId);
  const isWanted = async () => {
    const found = await retryingStore.write((store) => store.find(job.jobId));
    return found?.cancelRequest === null && isActive(found.status) && signals.heard.size === 0;
  };
  const lock = await prepare(() => createLock(lockFile), isWanted);
  if (lock === undefined) return undefined;
  const copy = job.stdin === OWN_STDIN ? stdinFile(context.home, next.jobId) : undefined;
  const hasInput =
    copy === undefined || (await prepare(() => keepInput(context, job.jobId, copy), isWanted)) !== undefined;
  const accepted = !hasInput
    ? undefined
    : await retryingStore.write(
        async (store) =>
          (await store.retry(job.jobId, outcome, target, endedAt, leftBehind, next, now())) ??
          // A commit that reported an error may have reached the disk all the same.
          (await store.find(next.jobId)),
      );
  if (accepted === undefined) {
    debug?.note("there is no further attempt: the job was cancelled, or is not known any more");
    discard(copy === undefined ? [lockFile] : [lockFile, copy]);
    closeFile(lock);
    return undefined;
  }
  debug?.note(`recorded FAILED, and accepted attempt ${accepted.attemptNo}, job ${accepted.jobId}`);
  return { job: accepted, lock, notBefore };
}

function discard(files: readonly string[]): void {
  try {
    for (const path of files) removeFile(path);
  } catch (error) {
    // The worker must record the failure in any case; `clean` deletes such files.
    debug?.note("leaves a file behind", error);
  }
}

function describeNext(context: Context, job: Job, at: Instant): NewJob {
  const { runKey, attemptNo, command, cwd, env, labels, timeoutMs, requestId, scope, properties } = job;
  const { output, stdin, onPartition, onExit, onFailure, limits, retry, rerunOfJobId, rerunReason } = job;
  return {
    ...{ runKey, command, cwd, env, labels, timeoutMs, requestId, scope, properties, output, stdin },
    jobId: Bun.randomUUIDv7(),
    token: crypto.randomUUID(),
    attemptNo: attemptNo + 1,
    rerunOfJobId,
    rerunReason,
    onExit: onExit && { command: onExit.command, timeoutMs: onExit.timeoutMs },
    onFailure: onFailure && { command: onFailure.command, timeoutMs: onFailure.timeoutMs },
    onPartition,
    limits,
    retry: { ...retry!, number: retry!.number + 1, ofJobId: job.jobId, at, nextJobId: null },
    origin: context.origin,
    worker: readIdentity(process.pid),
  };
}

/** Repeats a step that fails, for lack of space for example. Undefined if it does not succeed while it `isWanted`. */
async function prepare<T>(step: () => T, isWanted: () => Promise<boolean>): Promise<T | undefined> {
  for (const deadline = performance.now() + PREPARE_TIMEOUT_MS; ;) {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof OrchesjobError)) throw error;
      debug?.note(`cannot prepare the next attempt: ${error.message}`);
      if (performance.now() >= deadline || !(await isWanted())) return undefined;
    }
    await Bun.sleep(PAUSE_MS);
  }
}

/** The next attempt has a name of its own for the same copy, because `clean` deletes that of the failed one. */
function keepInput(context: Context, failedJobId: string, copy: string): true {
  removeFile(copy);
  linkFile(stdinFile(context.home, failedJobId), copy);
  syncDirectory(context.home.logs);
  return true;
}

/** Becomes the worker of the next attempt. Returns only if that fails: the error. */
async function becomeNextWorker(attempt: Attempt, { job, lock, notBefore }: NextAttempt): Promise<unknown> {
  const { context, settings, signals, unit } = attempt;
  const { fileLimit, directory } = settings;
  debug?.note(`becomes the worker of job ${job.jobId}`);
  // The command would inherit the score.
  becomeOrdinary();
  try {
    // The command has read to the end of the former descriptor, and shares its position.
    const input =
      job.stdin === null
        ? []
        : [[openFile(`/proc/self/fd/${WORKER_INPUT_FD}`, "read"), WORKER_INPUT_FD] as const];
    return await replaceProcess({
      words: [
        ...["_worker", "--job-id", job.jobId, "--home", context.home.path],
        ...["--not-before", String(Math.ceil(notBefore))],
        ...(unit === null ? [] : ["--unit", unit]),
        ...(fileLimit === undefined ? [] : ["--file-limit", String(fileLimit)]),
        ...(directory === undefined ? [] : ["--directory", directory]),
        ...debugWords(),
      ],
      descriptors: [[lock, WORKER_LOCK_FD], [WORKER_DIRECTORY_FD, WORKER_DIRECTORY_FD], ...input],
      variables: [
        [JOB_ID_VARIABLE, job.jobId],
        [TOKEN_VARIABLE, job.token!],
      ],
      signals: () => signals.heard,
    });
  } catch (error) {
    return error;
  }
}
