/** Waiting for a job without polling: see os/watch.ts. */
import type { Job } from "../job/job.ts";
import { lockFilePath } from "../os/home.ts";
import { FileWatch } from "../os/watch.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { reconcile } from "./reconcile.ts";

/** The owner touches its lock file at each step of the job; this is only for what no file tells, in ms. */
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
  const watch = new FileWatch();
  watch.add(lockFilePath(context.home, job.jobId));
  try {
    for (;;) {
      current = await reconcile(context, store, (await store.find(job.jobId)) ?? current);
      const rest = deadline - performance.now();
      if (wanted(current) || rest <= 0) return current;
      watch.wait(Math.min(rest, SLOW_CHECK_MS));
    }
  } finally {
    watch.close();
  }
}
