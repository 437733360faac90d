/** `result`: a finished job together with its output. */
import { OrchesjobError } from "../job/errors.ts";
import { isActive } from "../job/status.ts";
import type { Context } from "../state/context.ts";
import type { JobSelector } from "../job/request.ts";
import { findJob } from "./find.ts";
import { type JobResult, withLogEnd } from "./logs.ts";

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
