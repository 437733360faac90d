/** Which ends of a job may leave processes behind that block its run key: docs/guarantees.md, section 6. */
import type { Failure, Job } from "./job.ts";

/** The failures of jobs that were ended, and did not end by themselves. */
export const EARLY_FAILURES = ["timed_out", "stalled", "partitioned"] as const satisfies readonly Failure[];

/** Whether the job ended other than by the end of its command. Its key is then blocked while a process of the job lives. */
export function endedEarly({ status, failure }: Pick<Job, "status" | "failure">): boolean {
  return (
    status === "CANCELLED" ||
    status === "LOST" ||
    (status === "FAILED" && EARLY_FAILURES.some((early) => early === failure))
  );
}

/** Whether a process of a finished job may block its key: if it ended early, unless it is recorded that none is left. */
export function mayHoldKey(job: Pick<Job, "status" | "failure" | "leftBehind">): boolean {
  return endedEarly(job) && job.leftBehind?.length !== 0;
}
