/** What the finished job of a run key means for a new start of that key. */
import type { JobStatus } from "./status.ts";

export const ANSWERS = ["return", "rerun"] as const;
/** `return`: the finished job is the answer. `rerun`: a new one starts. */
export type Answer = (typeof ANSWERS)[number];

export interface StartPolicy {
  /** One job per run key, ever, unless `unlock` allows one more. All three below then count as `return`. */
  readonly strict: boolean;
  readonly ifSucceeded: Answer;
  /** Covers CANCELLED, too. */
  readonly ifFailed: Answer;
  readonly ifLost: Answer;
}

export const DEFAULT_POLICY: StartPolicy = {
  strict: false,
  ifSucceeded: "rerun",
  ifFailed: "rerun",
  ifLost: "rerun",
};

/** The answer for a finished job; does not consider what `unlock` allows. */
export function answerFor(status: JobStatus, policy: StartPolicy): Answer {
  if (policy.strict) return "return";
  if (status === "SUCCEEDED") return policy.ifSucceeded;
  return status === "LOST" ? policy.ifLost : policy.ifFailed;
}
