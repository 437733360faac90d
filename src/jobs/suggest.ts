/** The run keys and job ids that shell completion offers, at most a fixed number. */
import { formatDuration } from "../job/duration.ts";
import type { Job } from "../job/job.ts";
import { isJobId } from "../job/request.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";

/** Neither is sanitized. */
export interface Suggestion {
  readonly value: string;
  /** For people: status and age of a run key, or what a job id is. */
  readonly remark: string;
}

/** More would be of no use to a person; a longer prefix finds the rest. */
const MAX_RUN_KEYS = 1_000;
const MAX_JOB_IDS = 100;

/** Run keys in order, or job ids, newest first. */
export async function suggest(
  context: Context,
  kind: "run-key" | "job-id",
  prefix: string,
): Promise<readonly Suggestion[]> {
  const store = context.openStore();
  if (store === undefined) return [];
  if (kind === "run-key") {
    const jobs = await store.newestOfKeys(prefix, MAX_RUN_KEYS);
    const at = now();
    const age = (job: Job) => formatDuration(Math.max(0, at - job.startedAt) / 1000);
    return jobs.map((job) => ({ value: job.runKey, remark: `${job.status}, started ${age(job)} ago` }));
  }
  const jobs = await store.jobsById(prefix, MAX_JOB_IDS);
  return jobs
    .filter((job) => isJobId(job.jobId))
    .map((job) => ({ value: job.jobId, remark: `${job.runKey} ${job.status}` }));
}
