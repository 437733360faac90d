/** `result`: a finished job together with its output. */
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

/** Calls `use` with the last `maxBytes` bytes of each stream. Throws `not-found`, and `conflict` if the job is not finished. */
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
  if (job.elsewhere !== undefined)
    return use(await (await import("./elsewhere.ts")).resultElsewhere(context, job, maxBytes));
  // Open both before `use` prints anything, so that a missing log is an error without half an answer.
  withLogEnd(context, job, "stdout", maxBytes, (stdout) =>
    withLogEnd(context, job, "stderr", maxBytes, (stderr) => use({ job, stdout, stderr })),
  );
}
