/**
 * Restores running jobs that the store does not know, because an older backup of the database was put back after they were
 * accepted or claimed. Their held locks prove that they run. Their workers know them, and restore them when asked.
 */
import { removeFile } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { isClaimed, wakeOwner, wasClaimed } from "../state/job-lock.ts";
import { readNames } from "../state/log-directory.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { abandonedJobError, findNamedProcesses, unknownJobsError } from "./unknown-jobs-error.ts";

/** Length of a job id. The lock file of a hook has a longer name. */
const ID_LENGTH = 36;

/** How long a worker may take to restore its job, in ms. It takes a few ms, unless the machine is very busy. */
const RESTORE_TIMEOUT_MS = 3_000;
const PAUSE_MS = 10;

/** The ids of the jobs that run, and that the store does not know. */
export async function findUnknownJobs(context: Context, store: JobStore): Promise<readonly string[]> {
  return (await search(context, store)).running;
}

interface UnknownJobs {
  /** Jobs whose workers live. */
  readonly running: readonly string[];
  /** Jobs whose workers were killed, so nobody can restore them. */
  readonly abandoned: readonly string[];
}

async function search(context: Context, store: JobStore): Promise<UnknownJobs> {
  const running: string[] = [];
  const abandoned: string[] = [];
  for (const names of readNames(context.home.locks)) {
    const jobIds: string[] = [];
    for (const name of names) if (name.length === ID_LENGTH) jobIds.push(name);
    if (jobIds.length === 0) continue;
    for (const jobId of await store.unclaimed(jobIds)) {
      const path = lockFilePath(context.home, jobId);
      if (isClaimed(path)) running.push(jobId);
      else if (wasClaimed(path)) abandoned.push(jobId);
    }
  }
  // Of `abandoned`, a job that the store knows is recorded as LOST like any other.
  return { running, abandoned: abandoned.length === 0 ? abandoned : await store.unknown(abandoned) };
}

/** Throws `conflict` if the command of one of these jobs still lives. Deletes the lock files of the others. */
async function refuseAbandoned(context: Context, jobIds: readonly string[]): Promise<void> {
  for (const jobId of jobIds) {
    const found = findNamedProcesses(context, jobId);
    if (found.pids.length > 0 || found.unseen) throw abandonedJobError(context, jobId, found);
    // No process of the job is left, and no command will ask for it.
    removeFile(lockFilePath(context.home, jobId));
  }
}

/**
 * Wakes the workers of such jobs, and waits until they have restored them; returns the number of jobs. Throws `conflict` if a
 * worker does not, or if a command has survived its worker.
 */
export async function restoreFromWorkers(context: Context, store: JobStore): Promise<number> {
  const { running, abandoned } = await search(context, store);
  if (abandoned.length > 0) await refuseAbandoned(context, abandoned);
  if (running.length === 0) return 0;
  for (const jobId of running) wakeOwner(lockFilePath(context.home, jobId));
  const deadline = performance.now() + RESTORE_TIMEOUT_MS;
  for (let missing = running; ;) {
    missing = (await store.unclaimed(missing)).filter((jobId) =>
      isClaimed(lockFilePath(context.home, jobId)),
    );
    if (missing.length === 0) return running.length;
    if (performance.now() >= deadline) throw unknownJobsError(context, missing);
    await Bun.sleep(PAUSE_MS);
  }
}
