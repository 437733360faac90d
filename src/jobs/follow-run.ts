/** Follows the output of a run: of a job and, if it fails and is tried again, of the attempts after it. */
import { formatDuration } from "../job/duration.ts";
import type { Job } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";
import { findNextAttempt } from "./attempts.ts";
import { type FollowControl, followJob, type Route } from "./follow.ts";

/** As followJob; says on stderr that another attempt follows. `onError` makes the error to throw of one that an attempt met. */
export async function followRun(
  context: Context,
  store: JobStore,
  job: Job,
  routes: readonly Route[],
  control: FollowControl,
  onError: (attempt: Job, error: unknown) => unknown = (_, error) => error,
): Promise<Job> {
  const follow = (attempt: Job) => {
    const wanted = attempt === job ? routes : routes.map((route) => ({ ...route, from: 0 }));
    return followJob(context, store, attempt, wanted, control).catch((error: unknown) => {
      throw onError(attempt, error);
    });
  };
  return followAttempts(context, store, job, follow, (ended) => control.isLeaving(ended));
}

/** Calls `follow`, which returns a job as it has ended, with a job and with the attempts after it; returns the last one. */
export async function followAttempts(
  context: Context,
  store: JobStore,
  job: Job,
  follow: (attempt: Job) => Promise<Job>,
  isLeaving: (ended: Job) => Promise<boolean>,
): Promise<Job> {
  for (let attempt = job; ;) {
    const ended = await follow(attempt);
    const next = await findNextAttempt(store, ended);
    if (next === undefined || (await isLeaving(ended))) return ended;
    context.notify(describeRetry(ended, next));
    attempt = next;
  }
}

/** `attempt 1 failed (exit code 75); attempt 2 follows in 1m`. */
function describeRetry(failed: Job, next: Job): string {
  const why = failed.error ?? failed.signal ?? `exit code ${failed.exitCode}`;
  const waitMs = ((next.retry?.at ?? 0) - now()) / 1_000;
  const when = waitMs < 1_000 ? "now" : `in ${formatDuration(waitMs)}`;
  return `attempt ${failed.attemptNo} failed (${why}); attempt ${next.attemptNo} follows ${when}`;
}
