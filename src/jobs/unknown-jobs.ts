/**
 * Jobs that run, and that the store does not know: an older backup of the database was put in the place of the one in which
 * they were accepted, or claimed. Their locks are the proof. Their workers know them, and put them back when they are asked.
 */
import { removeFile } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { isClaimed, wakeOwner, wasClaimed } from "../state/job-lock.ts";
import { readNames } from "../state/log-directory.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";

/** A job's id, and no more than that: the lock of a hook has a longer name. */
const ID_LENGTH = 36;

/** How long a worker is given to put its job back, in ms. It takes some ms, unless the machine is very busy. */
const RESTORE_TIMEOUT_MS = 3_000;
const PAUSE_MS = 10;

/** The ids of the jobs that run, and that the store does not know. */
export async function findUnknownJobs(context: Context, store: JobStore): Promise<readonly string[]> {
  return (await search(context, store)).running;
}

interface UnknownJobs {
  /** Their workers live. */
  readonly running: readonly string[];
  /** Their workers have died without a word, and so nobody can put them back. */
  readonly left: readonly string[];
}

async function search(context: Context, store: JobStore): Promise<UnknownJobs> {
  const running: string[] = [];
  const left: string[] = [];
  for (const names of readNames(context.home.locks)) {
    const jobIds: string[] = [];
    for (const name of names) if (name.length === ID_LENGTH) jobIds.push(name);
    if (jobIds.length === 0) continue;
    for (const jobId of await store.unclaimed(jobIds)) {
      const path = lockFilePath(context.home, jobId);
      if (isClaimed(path)) running.push(jobId);
      else if (wasClaimed(path)) left.push(jobId);
    }
  }
  // One that the store knows is found to be LOST as any other.
  return { running, left: left.length === 0 ? left : await store.unknown(left) };
}

/** Throws `conflict` where a command lives whose worker was killed, and whose job the store does not know. */
async function refuseLeft(context: Context, jobIds: readonly string[]): Promise<void> {
  const { findNamedProcesses, leftError } = await import("./unknown-jobs-error.ts");
  for (const jobId of jobIds) {
    const found = findNamedProcesses(context, jobId);
    if (found.pids.length > 0 || found.unseen) throw leftError(context, jobId, found);
    // Nothing of the job is left, and nobody will ask for it.
    removeFile(lockFilePath(context.home, jobId));
  }
}

/**
 * Has the workers of such jobs put them back; returns how many there were. Throws `conflict` where one does not, or where a
 * command has outlived its worker.
 */
export async function restoreFromWorkers(context: Context, store: JobStore): Promise<number> {
  const { running: forgotten, left } = await search(context, store);
  if (left.length > 0) await refuseLeft(context, left);
  if (forgotten.length === 0) return 0;
  for (const jobId of forgotten) wakeOwner(lockFilePath(context.home, jobId));
  const deadline = performance.now() + RESTORE_TIMEOUT_MS;
  for (let missing = forgotten; ;) {
    missing = (await store.unclaimed(missing)).filter((jobId) =>
      isClaimed(lockFilePath(context.home, jobId)),
    );
    if (missing.length === 0) return forgotten.length;
    if (performance.now() >= deadline)
      throw await (await import("./unknown-jobs-error.ts")).unknownJobsError(context, missing);
    await Bun.sleep(PAUSE_MS);
  }
}
