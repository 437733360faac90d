/** Follows the output of a run: of a job and, if it fails and is tried again, of the attempts after it. */
import { formatDuration } from "../job/duration.ts";
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isFollowed } from "../job/retry.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";
import { findNextAttempt } from "./attempts.ts";
import { type FollowControl, followJob, type Route } from "./follow.ts";

/**
 * As followJob, for the given attempts of a run and those after them; says on stderr that another attempt follows. `onError`
 * makes the error to throw of one that an attempt met.
 */
export async function followRun(
  context: Context,
  store: JobStore,
  attempts: readonly Job[],
  routes: readonly Route[],
  control: FollowControl,
  onError: (attempt: Job, error: unknown) => unknown = (_, error) => error,
): Promise<Job> {
  const follow = (attempt: Job) => {
    const wanted = attempt === attempts[0] ? routes : routes.map((route) => ({ ...route, from: 0 }));
    return followJob(context, store, attempt, wanted, control).catch((error: unknown) => {
      throw onError(attempt, error);
    });
  };
  return followAttempts(context, store, attempts, follow, (ended) => control.isLeaving(ended));
}

/**
 * Calls `follow`, which returns a job as it has ended, with each of the given attempts of a run and those after them; returns
 * the last one. Throws `conflict` if `clean` has deleted one in between.
 */
export async function followAttempts(
  context: Context,
  store: JobStore,
  attempts: readonly Job[],
  follow: (attempt: Job) => Promise<Job>,
  isLeaving: (ended: Job) => Promise<boolean>,
): Promise<Job> {
  const known = attempts.values();
  for (let attempt = known.next().value!; ;) {
    const ended = await follow(attempt);
    const next = known.next().value ?? (await findNextAttempt(context, store, ended));
    if (next === undefined && !isFollowed(ended)) return ended;
    if (await isLeaving(ended)) return ended;
    if (next === undefined) throw unknownEnd(ended);
    context.notify(describeRetry(ended, next));
    attempt = next;
  }
}

function unknownEnd({ jobId, retry }: Job): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `job ${jobId} has failed, and attempt ${retry!.nextJobId} followed it, which clean has deleted: how the run ended is not known`,
    `what is left: orchesjob status --job-id ${jobId}`,
  );
}

/** `attempt 1 failed (exit code 75); attempt 2 follows in 1m`. */
function describeRetry(failed: Job, next: Job): string {
  const why = failed.error ?? failed.signal ?? `exit code ${failed.exitCode}`;
  const waitMs = ((next.retry?.at ?? 0) - now()) / 1_000;
  const when = waitMs < 1_000 ? "now" : `in ${formatDuration(waitMs)}`;
  return `attempt ${failed.attemptNo} failed (${why}); attempt ${next.attemptNo} follows ${when}`;
}

/** The error of a caller that must show everything, and could not. */
export function notWhole({ jobId, status, exitCode }: Job): OrchesjobError {
  const code = exitCode === null ? "" : ` (exit code ${exitCode})`;
  return new OrchesjobError(
    "conflict",
    `job ${jobId} is ${status}${code}, but its output could not be shown as a whole`,
    `all that is known of it: orchesjob status --job-id ${jobId}`,
  );
}
