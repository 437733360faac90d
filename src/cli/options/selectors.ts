/** The options that select a job: `--run-key` and `--job-id`. */
import { OrchesjobError } from "../../job/errors.ts";
import type { JobSelector } from "../../job/request.ts";
import { optional } from "../command.ts";
import { runKeyValue, anyText } from "./values.ts";

export const selectorOptions = {
  runKey: optional("--run-key", "KEY", "The newest job of this run key", runKeyValue),
  jobId: optional(
    "--job-id",
    "ID",
    "The job with this id; its first characters (at least 4) are enough if they are unique",
    anyText("job-id"),
  ),
};

/** Throws `usage` unless exactly one of the two is given. */
export function toSelector(options: {
  readonly runKey: string | undefined;
  readonly jobId: string | undefined;
}): JobSelector {
  const { runKey, jobId } = options;
  if (runKey !== undefined && jobId !== undefined) {
    throw new OrchesjobError("usage", "give either --run-key KEY or --job-id ID, not both");
  }
  if (runKey !== undefined) return { runKey };
  if (jobId !== undefined) return { jobId };
  throw new OrchesjobError("usage", "--run-key KEY or --job-id ID is required");
}
