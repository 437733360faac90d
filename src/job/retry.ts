/** `--retries`: which ends of an attempt are tried again, when, and how often. See docs/idempotency.md. */
import { passedOnExitCode } from "./exit-status.ts";
import type { Job, Outcome, Retry, RetryOrder } from "./job.ts";
import { isActive } from "./status.ts";

export const ON_TIMEOUT = "timeout";
export const DEFAULT_DELAY_MS = 10_000;
export const DEFAULT_BACKOFF = 1;
/** A day. Without a limit, a factor would soon make a pause longer than anybody means. */
const LONGEST_DELAY_MS = 86_400_000;

export function firstAttempt(order: RetryOrder): Retry {
  const { retries, delayMs, backoff, maxDelayMs, on } = order;
  return { retries, delayMs, backoff, maxDelayMs, on, number: 0, ofJobId: null, at: null, nextJobId: null };
}

/** How many attempts may follow this one; none if it is the last of a run that has ended. */
export function retriesLeft(job: Pick<Job, "status" | "retry">): number {
  const { status, retry } = job;
  return retry !== null && (isActive(status) || isFollowed(job)) ? countLeft(retry) : 0;
}

function countLeft({ retries, number }: Retry): number {
  return Math.max(0, retries - number);
}

/** Whether an attempt that has failed like this is to be tried again. */
export function isToBeRetried(job: Job, outcome: Outcome): boolean {
  const { retry } = job;
  if (retry === null || countLeft(retry) === 0 || outcome.failure === "partitioned") return false;
  if (retry.on === null) return outcome.failure !== "not_found" && outcome.failure !== "not_executable";
  const isTooSlow = outcome.failure === "timed_out" || outcome.failure === "stalled";
  if (isTooSlow && retry.on.includes(ON_TIMEOUT)) return true;
  return retry.on.includes(String(passedOnExitCode({ ...job, ...outcome, status: "FAILED" })));
}

/** The pause before the attempt that follows this one, in ms. */
export function nextDelayMs({ number, delayMs, backoff, maxDelayMs }: Retry): number {
  const longest = maxDelayMs ?? Math.max(delayMs, LONGEST_DELAY_MS);
  // The factor may have become infinite.
  return delayMs === 0 ? 0 : Math.round(Math.min(delayMs * backoff ** number, longest));
}

/** Whether the job waits for the time of its attempt. */
export function isAwaitingRetry({ status, retry }: Pick<Job, "status" | "retry">): boolean {
  return status === "STARTING" && retry !== null && retry.at !== null;
}

/** Whether the job is a retry whose command has not been launched: it waits, or was ended before. Its time is no running time. */
export function isUnlaunchedRetry({ target, retry }: Pick<Job, "target" | "retry">): boolean {
  return target === null && retry !== null && retry.at !== null;
}

/** Whether the job has failed, and another attempt follows it. */
export function isFollowed({ retry }: Pick<Job, "retry">): boolean {
  return retry !== null && retry.nextJobId !== null;
}
