/**
 * Waits for the processes that a lost job has left, and records when the last of them ended and how the command did. The job
 * stays LOST. A lock ensures that each job has one keeper; if it is killed, the next look at the job starts another.
 */
import { awaitsOrphans } from "../job/ending.ts";
import type { Job, OrphanEnd } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import type { EndWatch } from "../linux/end-watch.ts";
import { takeLock } from "../linux/file-lock.ts";
import { closeFile, makeDirectory, removeFile } from "../linux/file.ts";
import { Handle } from "../linux/process-handle.ts";
import { findProcesses } from "../processes/job-processes.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { keeperLock } from "../state/paths.ts";
import type { RetryingStore } from "../state/retrying-store.ts";
import { toOutcome } from "./outcome.ts";

/** How long the keeper tries to record the end, in ms. */
const RECORD_TIMEOUT_MS = 600_000;
/** Pauses between two looks for processes of which no end is announced: in another PID namespace, or hidden. In ms. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 5_000;
/** The longest sleep, in ms: if an announcement fails to come, a look finds the end. */
const SELDOM_MS = 120_000;
/** Pause between two calls of `tend`, in ms. */
const TEND_MS = 1_000;
/** How many processes are watched at a time: each takes a descriptor. */
const MOST_HANDLES = 500;
/** How long to wait until the parent of the command has reaped it, in ms: only then some kernels say how it ended. */
export const REAPED_MS = 5_000;
const REAPED_STEP_MS = 100;

export interface Keeping {
  readonly context: Context;
  readonly retryingStore: RetryingStore;
  readonly watch: EndWatch;
}

/** Does nothing if the job has a keeper, or no process of it lives. Reports no failure. */
export async function keepOrphans({ context, retryingStore, watch }: Keeping, jobId: string): Promise<void> {
  try {
    const path = keeperLock(context.home, jobId);
    makeDirectory(context.home.locks);
    const lock = takeLock(path);
    if (lock === undefined) return;
    try {
      const job = await retryingStore.write((store) => store.find(jobId), RECORD_TIMEOUT_MS);
      retryingStore.disconnect();
      if (job === undefined || !awaitsOrphans(job)) return;
      const end = await outlastOrphans(context, job, watch);
      debug?.about(jobId);
      debug?.note(
        end === undefined ? "no process of the job lives" : "the last process of the job has ended",
      );
      if (end !== undefined)
        await retryingStore.write((store) => store.recordOrphanEnd(jobId, end), RECORD_TIMEOUT_MS);
    } finally {
      // Delete the file before the lock is released. Whoever has opened it meanwhile finds the end recorded.
      removeFile(path);
      closeFile(lock);
    }
  } catch (error) {
    debug?.note("cannot keep the processes of a lost job", error);
  }
}

/**
 * Waits until no process of the job lives, or `isOver` says so after a signal or a timeout; undefined if none lived, or it is not
 * over. `restMs`: how long it may still take. `tend` is called about every `TEND_MS` while a process lives.
 */
export async function outlastOrphans(
  context: Context,
  job: Job,
  watch: EndWatch,
  isOver: () => boolean = () => false,
  restMs: () => number = () => Number.POSITIVE_INFINITY,
  tend?: () => Promise<void>,
): Promise<OrphanEnd | undefined> {
  const isHere = job.origin?.pidNamespace === context.origin.pidNamespace;
  const target = isHere && job.target !== null ? Handle.of(job.target) : undefined;
  // The command may end before the first look.
  let isSeen = target !== undefined && !target.hasEnded();
  let at: number | undefined;
  let pause = FIRST_PAUSE_MS;
  const longest = tend === undefined ? SELDOM_MS : TEND_MS;
  try {
    for (;;) {
      const { seen, unseen } = findProcesses(context, job);
      if (seen.length === 0 && !unseen) break;
      isSeen = true;
      const handles = seen.slice(0, MOST_HANDLES).flatMap((entry) => Handle.of(entry) ?? []);
      try {
        if (handles.length === 0) {
          await watch.next([], Math.min(pause, longest, restMs()));
          await tend?.();
          pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
        } else pause = FIRST_PAUSE_MS;
        for (let living = handles; living.length > 0 && !isOver();) {
          await watch.next(
            living.map(({ fd }) => fd),
            Math.min(longest, restMs()),
          );
          living = living.filter((handle) => !handle.hasEnded());
          if (living.length > 0) await tend?.();
        }
      } finally {
        for (const handle of handles) handle.close();
      }
      // Before the next look, which takes a while.
      at = now();
      if (isOver()) return undefined;
    }
    if (!isSeen) return undefined;
    at ??= now();
    const end = target && (await waitUntilReaped(target, watch));
    const { exitCode, signal } = end === undefined ? { exitCode: null, signal: null } : toOutcome(end, null);
    return { at, exitCode, signal };
  } finally {
    target?.close();
  }
}

/** How the command ended; undefined if nobody says it. */
async function waitUntilReaped(target: Handle, watch: EndWatch) {
  for (let waited = 0; ; waited += REAPED_STEP_MS) {
    const end = target.readEnd();
    if (end !== undefined || target.isReaped() || waited >= REAPED_MS) return end;
    await watch.next([], REAPED_STEP_MS);
  }
}
