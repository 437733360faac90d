/** The options by which a command names a job. */
import { OrchesjobError } from "../job/errors.ts";
import { checkRunKey } from "../job/request.ts";
import type { JobSelector } from "../runner/find.ts";
import { optional } from "./command.ts";

export const selectorOptions = {
  runKey: optional("--run-key", "KEY", "The newest job of this run key", checkRunKey),
  jobId: optional("--job-id", "ID", "The job of this id", (text) => text),
};

/** Exactly one of the two. Throws `usage`. */
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
