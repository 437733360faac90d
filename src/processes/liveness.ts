/** Decides whether the launcher and worker of an active job are gone, and says so only on proof (docs/guarantees.md, 5). */
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
  // There is no lock file: somebody deleted it, or the Python orchesjob wrote the job. The row must do.
  if (job.origin === null) return findWorker(job.jobId) === undefined;
  if (areDifferentBoots(job.origin, origin)) return true;
  if (findWorker(job.jobId) !== undefined) return false;
  // A process of another PID namespace may be invisible here, but not from the first namespace: it shows all others.
  if (job.origin.pidNamespace !== origin.pidNamespace) return origin.pidNamespace === FIRST_PID_NAMESPACE;
  // In our own namespace the worker is visible by its pid, even if /proc hides its command line.
  return !seesIdentity(job);
}

/**
 * Whether the job may have living processes that we cannot see: it ran in another PID namespace than ours, and ours is not the
 * first one, which shows all others. False after a reboot, which nothing survives.
 */
export function isOutOfSight(job: Job, origin: Origin): boolean {
  if (job.origin === null || areDifferentBoots(job.origin, origin)) return false;
  return job.origin.pidNamespace !== origin.pidNamespace && origin.pidNamespace !== FIRST_PID_NAMESPACE;
}

/** A dying worker releases its lock some moments before it is gone: how long we wait for that, in ms. */
const DYING_MS = 100;
const DYING_STEP_MS = 5;

/**
 * Whether the worker lives, by its pid and start time. In a copy of the state directory nobody holds a lock, though the worker
 * may live.
 */
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
