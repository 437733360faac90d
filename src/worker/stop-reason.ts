/** Why a worker ends a job early, and what the job says about it. */
import { formatExactly } from "../job/duration.ts";
import type { Job, Outcome } from "../job/job.ts";

export type StopReason = "cancel" | FailureReason;
type FailureReason = "timeout" | "stall" | "log-limit" | "partition";

/** `partition`: why a job of a fleet is ended. */
export function explainStop(
  reason: FailureReason,
  { timeoutMs, limits }: Job,
  partition: string,
): Pick<Outcome, "error" | "failure"> {
  switch (reason) {
    case "timeout":
      return { error: `timed out after ${formatExactly(timeoutMs ?? 0)}`, failure: "timed_out" };
    case "stall":
      return {
        error: `stalled: no output for ${formatExactly(limits.stallAfterMs ?? 0)}`,
        failure: "stalled",
      };
    case "log-limit":
      return { error: `a log has reached --max-log-bytes ${limits.maxLogBytes}`, failure: "log_limit" };
    case "partition":
      return { error: partition, failure: "partitioned" };
  }
}
