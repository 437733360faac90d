/** Whether an active job still has its launcher or worker (law 5): `gone` is said on proof alone. */
import type { Job, Origin } from "../job/job.ts";
import { probeLock } from "./lock.ts";
import { seesWorker } from "./process-tree.ts";
import { readProcess } from "./self.ts";

export function isOwnerGone(job: Job, lockFile: string, origin: Origin): boolean {
  const lock = probeLock(lockFile);
  if (lock !== "missing") return lock === "free";
  // No witness: somebody deleted the lock file, or the Python orchesjob wrote the job. What the row says must do.
  if (job.origin === null) return !seesWorker(job.jobId);
  if (job.origin.bootId !== origin.bootId) return true;
  if (seesWorker(job.jobId)) return false;
  // Another PID namespace may be out of sight. Ours is not, unless /proc hides the process, and then its number shows.
  if (job.origin.pidNamespace !== origin.pidNamespace) return false;
  const holder = job.worker === null ? undefined : readProcess(job.worker.pid);
  return holder === undefined || holder.state === "Z" || holder.startTicks !== job.worker?.startTicks;
}
