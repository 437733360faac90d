/** A quick check for running jobs that the store does not know, before a start, and before a look-up answers "not found". */
import { isEmptyDirectory } from "../linux/empty-directory.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "../state/context.ts";

/**
 * As restoreFromWorkers of unknown-jobs.ts, which is loaded only if there are lock files. Returns the number of restored jobs.
 * Throws `conflict` if a job cannot be restored.
 */
export async function restoreUnknownJobs(context: Context, store: JobStore): Promise<number> {
  if (isEmptyDirectory(context.home.locks)) return 0;
  return (await import("./unknown-jobs.ts")).restoreFromWorkers(context, store);
}
