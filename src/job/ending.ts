/** Law 6: the end of a job is not the end of its processes where something else ended it before its time. */
import type { Job } from "./job.ts";

/** Whether something else than the command's own end has ended the job. Its key is not free while a process of it lives. */
export function endedEarly({ status, failure }: Pick<Job, "status" | "failure">): boolean {
  return status === "CANCELLED" || status === "LOST" || (status === "FAILED" && failure === "timed_out");
}

/** Whether a process of a finished job may hold its key: of one that was ended early, unless somebody has proved the contrary. */
export function mayHoldKey(job: Pick<Job, "status" | "failure" | "leftBehind">): boolean {
  return endedEarly(job) && job.leftBehind?.length !== 0;
}
