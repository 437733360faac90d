/** Waits for a job without polling, by sleeping on its lock file: see state/job-lock.ts. */
import type { Job } from "../job/job.ts";
import { isAwaitingRetry, isFollowed } from "../job/retry.ts";
import { turn } from "../linux/clock.ts";
import { findEventLoop, type Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { LockWatch } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { findNextAttempt } from "./attempts.ts";
import { refresh } from "./reconcile.ts";

const QUICK_CHECK_MS = 50;

/** A longer wait disconnects from the store, in ms. */
export const LONG_MS = 500;

/**
 * Waits until `wanted(job)`, at most `timeoutMs`, or until a signal comes; returns the job as it is then. If the job has failed
 * and another attempt follows it, waits for that one instead. Throws `not-found` if it was deleted.
 */
export async function waitForJob(
  context: Context,
  store: JobStore,
  job: Job,
  wanted: (job: Job) => boolean,
  timeoutMs: number,
  interruption?: Pick<Interruption, "signal">,
): Promise<Job> {
  if (job.elsewhere !== undefined) {
    const { waitElsewhere } = await import("./elsewhere.ts");
    return waitElsewhere(context, job, wanted, timeoutMs, interruption);
  }
  const deadline = performance.now() + timeoutMs;
  for (let current = job; ;) {
    current = await waitForAttempt(context, store, current, wanted, deadline, interruption);
    const next = isFollowed(current) ? await findNextAttempt(context, store, current) : undefined;
    if (next === undefined) return current;
    current = next;
  }
}

/** As waitForJob, for one attempt. `deadline`: on the clock of performance.now(). */
async function waitForAttempt(
  context: Context,
  store: JobStore,
  job: Job,
  wanted: (job: Job) => boolean,
  deadline: number,
  interruption: Pick<Interruption, "signal"> | undefined,
): Promise<Job> {
  let current = job;
  const watch = new LockWatch(lockFilePath(context.home, job.jobId));
  // The byte that announces the command stays readable, so it can end only one sleep. After that, poll every QUICK_CHECK_MS.
  let listened = false;
  let isLong = false;
  const signals = interruption === undefined ? [] : [findEventLoop()];
  try {
    for (;;) {
      current = await refresh(context, store, current);
      const rest = deadline - performance.now();
      if (wanted(current) || isFollowed(current) || rest <= 0) return current;
      // Signals that came since the last check would not end the sleep.
      if (interruption !== undefined) await turn();
      if (interruption?.signal !== undefined) return current;
      const starting = current.target === null;
      isLong ||= isAwaitingRetry(current);
      if (isLong) store.disconnect();
      const longest = isLong ? watch.slowCheckMs : LONG_MS;
      watch.wait(
        Math.min(rest, starting && listened ? QUICK_CHECK_MS : longest),
        starting && !listened,
        signals,
      );
      isLong = !starting;
      listened ||= starting && (watch.isWritten || !isAwaitingRetry(current));
    }
  } finally {
    watch.close();
  }
}
