/** How long a job took. */
import type { Instant, Job } from "../../job/job.ts";
import { isActive } from "../../job/status.ts";

/** Seconds from its start to its end, or until now while it is active; null if an older version did not record the end. */
export function took({ status, startedAt, finishedAt }: Job, now: Instant): number | null {
  const end = finishedAt ?? (isActive(status) ? now : null);
  return end === null ? null : (end - startedAt) / 1_000_000;
}
