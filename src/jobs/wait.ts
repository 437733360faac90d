/** Waiting for a job without polling: see state/lock.ts. */
import type { Job } from "../job/job.ts";
import { turn } from "../linux/clock.ts";
import { findEventLoop, type Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { LockWatch } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { refresh } from "./reconcile.ts";

const QUICK_CHECK_MS = 50;

/** Who waits longer than this holds nothing of the store open meanwhile, in ms. */
export const LONG_MS = 500;

/** Waits until the job is as wanted, `timeoutMs` is over, or we are interrupted; returns it as it is then. */
export async function waitForJob(
  context: Context,
  store: JobStore,
  job: Job,
  wanted: (job: Job) => boolean,
  timeoutMs: number,
  interruption?: Interruption,
): Promise<Job> {
  let current = job;
  const deadline = performance.now() + timeoutMs;
  const watch = new LockWatch(lockFilePath(context.home, job.jobId));
  // What tells that the command runs stays readable, so it can wake us once only; after that we look now and then.
  let listened = false;
  let isLong = false;
  const signals = interruption === undefined ? [] : [findEventLoop()];
  try {
    for (;;) {
      current = await refresh(context, store, current);
      const rest = deadline - performance.now();
      if (wanted(current) || rest <= 0) return current;
      // What came while we looked would not end the sleep.
      if (interruption !== undefined) await turn();
      if (interruption?.signal !== undefined) return current;
      const starting = current.target === null;
      if (isLong) store.disconnect();
      const longest = isLong ? watch.slowCheckMs : LONG_MS;
      watch.wait(
        Math.min(rest, starting && listened ? QUICK_CHECK_MS : longest),
        starting && !listened,
        signals,
      );
      isLong = !starting;
      listened ||= starting;
    }
  } finally {
    watch.close();
  }
}
