/** The exit code with which a caller passes a job's end on, in the manner of env(1) and timeout(1). */
import type { Job } from "./job.ts";

export const TIMED_OUT = 124;
export const OWN_FAILURE = 125;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
export const SIGNAL_BASE = 128;

/** For a finished job. */
export function passedOnExitCode(job: Job): number {
  if (job.failure === "timed_out") return TIMED_OUT;
  if (job.failure === "not_found") return NOT_FOUND;
  if (job.failure === "not_executable") return NOT_EXECUTABLE;
  if (
    job.status === "LOST" ||
    (job.failure !== null && job.failure !== "out_of_memory") ||
    (job.exitCode === null && job.status !== "CANCELLED")
  ) {
    return OWN_FAILURE;
  }
  // A cancelled job was ended by TERM, even if it took its leave with a 0: that would read as success.
  if (job.status === "CANCELLED" && (job.exitCode ?? 0) === 0) return SIGNAL_BASE + 15;
  const code = job.exitCode ?? 0;
  return code < 0 ? SIGNAL_BASE - code : code;
}
