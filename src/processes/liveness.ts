/** Whether an active job still has its launcher or worker (law 5): `gone` is said on proof alone. */
import { areDifferentBoots, isSameProcess, type Job, type Origin } from "../job/job.ts";
import { probeLock } from "../linux/file-lock.ts";
import { isLiving, readProcess } from "../linux/self.ts";
import { findWorker } from "./find-worker.ts";

/** Inode of the PID namespace of the machine itself, the same on every Linux (PROC_PID_INIT_INO). */
const FIRST_PID_NAMESPACE = "4026531836";

export function isOwnerGone(job: Job, lockFile: string, origin: Origin): boolean {
  const lock = probeLock(lockFile);
  if (lock === "held") return false;
  if (lock === "free") return !isThere(job, origin);
  // No witness: somebody deleted the lock file, or the Python orchesjob wrote the job. What the row says must do.
  if (job.origin === null) return findWorker(job.jobId) === undefined;
  if (areDifferentBoots(job.origin, origin)) return true;
  if (findWorker(job.jobId) !== undefined) return false;
  // Another PID namespace may be out of sight, but not from the first one: it sees into all others.
  if (job.origin.pidNamespace !== origin.pidNamespace) return origin.pidNamespace === FIRST_PID_NAMESPACE;
  // Ours is in sight, unless /proc hides the process, and then its number shows.
  return !seesIdentity(job);
}

/**
 * Whether processes of the job may live where they are out of sight: it ran in another PID namespace than ours, and ours is
 * not the first one, which sees into all others. False after a reboot, which nothing outlives.
 */
export function isOutOfSight(job: Job, origin: Origin): boolean {
  if (job.origin === null || areDifferentBoots(job.origin, origin)) return false;
  return job.origin.pidNamespace !== origin.pidNamespace && origin.pidNamespace !== FIRST_PID_NAMESPACE;
}

/** A worker that dies lets go of its lock some moments before it is gone, in ms. */
const DYING_MS = 100;
const DYING_STEP_MS = 5;

/** In a copy of the state directory nobody holds a lock, though the worker may live: it is asked for by its number. */
function isThere(job: Job, origin: Origin): boolean {
  if (job.origin === null || areDifferentBoots(job.origin, origin)) return false;
  if (job.origin.pidNamespace !== origin.pidNamespace) return false;
  for (let waited = 0; seesIdentity(job); waited += DYING_STEP_MS) {
    if (waited >= DYING_MS) return true;
    Bun.sleepSync(DYING_STEP_MS);
  }
  return false;
}

function seesIdentity({ worker }: Job): boolean {
  const holder = worker === null ? undefined : readProcess(worker.pid);
  return isLiving(holder) && isSameProcess(holder, worker);
}
