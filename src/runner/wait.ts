/** Waiting for a job without polling: see os/lock.ts. */
import type { Job } from "../job/job.ts";
import { lockFilePath } from "../os/home.ts";
import { LockWatch } from "../os/lock.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { reconcile } from "./reconcile.ts";

/** The lock file tells the steps of a job; this is only for where somebody deleted it, in ms. */
const SLOW_CHECK_MS = 2_000;

/** Waits until the job is as wanted, or `timeoutMs` is over; returns it as it is then. */
export async function waitForJob(
  context: Context,
  store: JobStore,
  job: Job,
  wanted: (job: Job) => boolean,
  timeoutMs: number,
): Promise<Job> {
  let current = job;
  const deadline = performance.now() + timeoutMs;
  const watch = new LockWatch(lockFilePath(context.home, job.jobId));
  try {
    for (;;) {
      current = await reconcile(context, store, (await store.find(job.jobId)) ?? current);
      const rest = deadline - performance.now();
      if (wanted(current) || rest <= 0) return current;
      watch.wait(Math.min(rest, SLOW_CHECK_MS), current.target === null);
    }
  } finally {
    watch.close();
  }
}
