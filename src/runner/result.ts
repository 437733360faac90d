/** `result`: how a job ended and what it wrote, in one answer. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import type { Context } from "./context.ts";
import { findJob, type JobSelector } from "./find.ts";
import { type LogEnd, readLogEnd } from "./logs.ts";

export interface JobResult {
  readonly job: Job;
  readonly stdout: LogEnd;
  readonly stderr: LogEnd;
}

/** The last `maxBytes` of each stream. Throws `not-found`, and `conflict` where the job is not finished. */
export async function readResult(
  context: Context,
  selector: JobSelector,
  maxBytes: number,
): Promise<JobResult> {
  const { job } = await findJob(context, selector);
  if (isActive(job.status)) {
    throw new OrchesjobError(
      "conflict",
      `job ${job.jobId} is ${job.status}, so it has no result yet; wait for it: orchesjob wait --job-id ${job.jobId}`,
    );
  }
  return {
    job,
    stdout: readLogEnd(context, job, "stdout", maxBytes),
    stderr: readLogEnd(context, job, "stderr", maxBytes),
  };
}
