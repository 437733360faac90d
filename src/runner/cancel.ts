/** `cancel`: ends a job, and proves that nothing of it is left. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { now } from "../os/clock.ts";
import { removeFile } from "../os/file.ts";
import { lockFilePath } from "../os/home.ts";
import { pokeOwner } from "../os/lock.ts";
import { ancestorsOf } from "../os/process-tree.ts";
import { SIGKILL, signalProcess } from "../os/signals.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { findJob, type JobSelector } from "./find.ts";
import { findProcesses } from "./processes.ts";
import { hasOrphans, OrphanFinder } from "./reconcile.ts";
import { isFinished } from "./start.ts";
import { terminate } from "./terminate.ts";
import { waitForJob } from "./wait.ts";

export interface CancelOrder {
  readonly reason: string | null;
  readonly graceMs: number;
}

export interface CancelResult {
  readonly job: Job;
  /** Processes of the job that are alive all the same. */
  readonly survivors: readonly number[];
}

/** How much longer than the grace a worker that is well needs to answer, in ms. Then we do its work. */
const WORKER_PATIENCE_MS = 10_000;

/** Throws `not-found`, and `conflict` where the job is not active and has no process left. */
export async function cancelJob(
  context: Context,
  selector: JobSelector,
  order: CancelOrder,
): Promise<CancelResult> {
  const { store, job } = await findJob(context, selector);
  if (job.status === "LOST" && hasOrphans(new OrphanFinder(context).find(job))) {
    return { job, survivors: await terminate(context, job, order.graceMs, ancestorsOf(process.pid)) };
  }
  if (!isActive(job.status)) throw notActive(job);

  // A process number means something in one namespace only.
  const pid = job.origin?.pidNamespace === context.origin.pidNamespace ? process.pid : 0;
  const requested = await store.requestCancel(job.jobId, { at: now(), ...order, pid });
  if (requested === undefined) throw notActive((await store.find(job.jobId)) ?? job);
  pokeOwner(lockFilePath(context.home, job.jobId));
  let ended = await waitForJob(context, store, requested, isFinished, order.graceMs + WORKER_PATIENCE_MS);
  if (!isFinished(ended)) ended = await cancelInstead(context, store, ended, order);
  const survivors = findProcesses(context, ended, undefined, ancestorsOf(process.pid)).seen.map(
    (entry) => entry.pid,
  );
  return { job: ended, survivors };
}

/** The worker lives, but does not answer (it was stopped, or is a Python one): its work is done for it. */
async function cancelInstead(context: Context, store: JobStore, job: Job, order: CancelOrder): Promise<Job> {
  await terminate(context, job, order.graceMs, ancestorsOf(process.pid));
  const outcome = { exitCode: null, signal: null, error: null, failure: null };
  const cancelled = await store.finish(job.jobId, "cancel", outcome, null, now());
  if (cancelled === undefined) return (await store.find(job.jobId)) ?? job;
  if (job.worker !== null && job.origin?.pidNamespace === context.origin.pidNamespace)
    signalProcess(job.worker, SIGKILL);
  removeFile(lockFilePath(context.home, job.jobId));
  return cancelled;
}

function notActive(job: Job): OrchesjobError {
  return new OrchesjobError("conflict", `cannot cancel job ${job.jobId}: it is ${job.status} already`);
}
