/** How long a job took. */
import type { Instant, Job } from "../../job/job.ts";
import { isUnlaunchedRetry } from "../../job/retry.ts";
import { isActive } from "../../job/status.ts";

/**
 * Seconds from its start to its end, or until now while it is active; null if an older version did not record the end, and for a
 * retry whose command was not launched.
 */
export function took(job: Job, now: Instant): number | null {
  if (isUnlaunchedRetry(job)) return null;
  const { status, startedAt, finishedAt } = job;
  const end = finishedAt ?? (isActive(status) ? now : null);
  return end === null ? null : (end - startedAt) / 1_000_000;
}
