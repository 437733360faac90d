/** `result`: how a job ended and what it wrote, in one answer. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import type { Context } from "../state/context.ts";
import { findJob, type JobSelector } from "./find.ts";
import { type LogEnd, withLogEnd } from "./logs.ts";

export interface JobResult {
  readonly job: Job;
  readonly stdout: LogEnd;
  readonly stderr: LogEnd;
}

/** Gives the last `maxBytes` of each stream to `use`. Throws `not-found`, and `conflict` where the job is not finished. */
export async function withResult(
  context: Context,
  selector: JobSelector,
  maxBytes: number,
  use: (result: JobResult) => void,
): Promise<void> {
  const { job } = await findJob(context, selector);
  if (isActive(job.status)) {
    throw new OrchesjobError(
      "conflict",
      `job ${job.jobId} is ${job.status}, so it has no result yet`,
      `wait for it: orchesjob wait --job-id ${job.jobId}`,
    );
  }
  // Both are open before anything of them is said.
  withLogEnd(context, job, "stdout", maxBytes, (stdout) =>
    withLogEnd(context, job, "stderr", maxBytes, (stderr) => use({ job, stdout, stderr })),
  );
}
