/** Before anything is started, and before a look says that something is not there: see forgotten.ts. */
import { isEmptyDirectory } from "../linux/empty-directory.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "../state/context.ts";

/**
 * Has the workers of jobs that run, and that the store does not know, put them back; returns how many there were. Throws
 * `conflict` where one does not. Where nothing runs that is a look at an empty directory.
 */
export async function restoreUnknownJobs(context: Context, store: JobStore): Promise<number> {
  if (isEmptyDirectory(context.home.locks)) return 0;
  return (await import("./unknown-jobs.ts")).restoreFromWorkers(context, store);
}
