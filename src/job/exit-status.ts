/** The exit codes that pass on how a job ended, as env(1) and timeout(1) do. */
import type { Job } from "./job.ts";

export const TIMED_OUT = 124;
export const OWN_FAILURE = 125;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
export const SIGNAL_BASE = 128;

/** The exit code of a caller that passes on how a finished job ended. */
export function passedOnExitCode(job: Job): number {
  if (job.failure === "timed_out" || job.failure === "stalled" || job.failure === "log_limit")
    return TIMED_OUT;
  if (job.failure === "not_found") return NOT_FOUND;
  if (job.failure === "not_executable") return NOT_EXECUTABLE;
  if (
    job.status === "LOST" ||
    (job.failure !== null && job.failure !== "out_of_memory") ||
    (job.exitCode === null && job.status !== "CANCELLED")
  ) {
    return OWN_FAILURE;
  }
  // A cancelled job counts as ended by TERM even if its command exited with 0, which would look like success.
  if (job.status === "CANCELLED" && (job.exitCode ?? 0) === 0) return SIGNAL_BASE + 15;
  const code = job.exitCode ?? 0;
  return code < 0 ? SIGNAL_BASE - code : code;
}
