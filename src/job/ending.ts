/** Which ends of a job may leave processes behind that block its run key: docs/guarantees.md, section 6. */
import type { Failure, Job } from "./job.ts";

/** The failures of jobs that were ended, and did not end by themselves. */
export const EARLY_FAILURES = [
  "timed_out",
  "stalled",
  "log_limit",
  "partitioned",
] as const satisfies readonly Failure[];

/** Whether the job ended other than by the end of its command. Its key is then blocked while a process of the job lives. */
export function endedEarly({ status, failure }: Pick<Job, "status" | "failure">): boolean {
  return (
    status === "CANCELLED" ||
    status === "LOST" ||
    (status === "FAILED" && (EARLY_FAILURES as readonly (Failure | null)[]).includes(failure))
  );
}

/** Whether a process of a finished job may block its key: if it ended early, unless it is recorded that none is left. */
export function mayHoldKey(job: Pick<Job, "status" | "failure" | "leftBehind">): boolean {
  return endedEarly(job) && job.leftBehind?.length !== 0;
}

/** Whether somebody may have to wait for processes of a lost job: see worker/keeper.ts. */
export function awaitsOrphans(job: Pick<Job, "status" | "failure" | "leftBehind" | "orphanEnd">): boolean {
  return job.status === "LOST" && job.orphanEnd === null && mayHoldKey(job);
}

/** `; later its command ended with exit code 7`: what is known of a LOST job's processes; empty if that is nothing. */
export function describeOrphanEnd({ orphanEnd }: Pick<Job, "orphanEnd">): string {
  if (orphanEnd === null) return "";
  const { exitCode, signal } = orphanEnd;
  if (exitCode === null) return "; later its last process ended";
  return `; later its command ${signal === null ? `ended with exit code ${exitCode}` : `was ended by ${signal}`}`;
}
