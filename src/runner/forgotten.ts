/**
 * Jobs that run, and that the store does not know: an older backup of the database was put in the place of the one in which
 * they were accepted, or claimed. Their locks are the proof. Their workers know them, and put them back when they are asked.
 */
import { lockFilePath } from "../os/home.ts";
import { isClaimed, pokeOwner } from "../os/lock.ts";
import { readNames } from "../os/log-directory.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";

/** A job's id, and no more than that: the lock of a hook has a longer name. */
const ID_LENGTH = 36;

/** How long a worker is given to put its job back, in ms. It takes some ms, unless the machine is very busy. */
const PATIENCE_MS = 3_000;
const PAUSE_MS = 10;

/** The ids of the jobs that run, and that the store does not know. */
export async function findForgotten(context: Context, store: JobStore): Promise<readonly string[]> {
  const forgotten: string[] = [];
  for (const names of readNames(context.home.locks)) {
    const jobIds: string[] = [];
    for (const name of names) if (name.length === ID_LENGTH) jobIds.push(name);
    if (jobIds.length === 0) continue;
    for (const jobId of await store.unclaimed(jobIds))
      if (isClaimed(lockFilePath(context.home, jobId))) forgotten.push(jobId);
  }
  return forgotten;
}

/** Has the workers of such jobs put them back; returns how many there were. Throws `conflict` where one does not. */
export async function recall(context: Context, store: JobStore): Promise<number> {
  const forgotten = await findForgotten(context, store);
  if (forgotten.length === 0) return 0;
  for (const jobId of forgotten) pokeOwner(lockFilePath(context.home, jobId));
  const deadline = performance.now() + PATIENCE_MS;
  for (let missing = forgotten; ;) {
    missing = (await store.unclaimed(missing)).filter((jobId) =>
      isClaimed(lockFilePath(context.home, jobId)),
    );
    if (missing.length === 0) return forgotten.length;
    if (performance.now() >= deadline)
      throw await (await import("./forgotten-error.ts")).forgottenError(context, missing);
    await Bun.sleep(PAUSE_MS);
  }
}
