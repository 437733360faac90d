/** `cancel`: ends a job, and proves that nothing of it is left. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isHookDue } from "../job/hook.ts";
import { isActive } from "../job/status.ts";
import { now } from "../os/clock.ts";
import { removeFile } from "../os/file.ts";
import { lockFilePath } from "../os/home.ts";
import { pokeOwner } from "../os/lock.ts";
import { companyOf } from "../os/process-tree.ts";
import { isLiving, readProcess } from "../os/self.ts";
import { SIGCONT, SIGKILL, signalProcess, SIGSTOP } from "../os/signals.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { findJob, type JobSelector } from "./find.ts";
import { findProcesses } from "./processes.ts";
import { hasOrphans, OrphanFinder } from "./reconcile.ts";
import { isFinished } from "./start.ts";
import { Deadline, terminate } from "./terminate.ts";
import { waitForJob } from "./wait.ts";

export interface CancelOrder {
  readonly reason: string | null;
  readonly graceMs: number;
}

export interface CancelResult {
  readonly job: Job;
  /** Processes of the job that are alive all the same. */
  readonly survivors: readonly number[];
  /** Somebody out of our sight (another PID namespace, another user) has the job's output open all the same. */
  readonly unseen: boolean;
}

/** How much longer than the grace a worker that is well needs to answer, in ms. Then we do its work. */
const WORKER_PATIENCE_MS = 10_000;

/** For a worker that goes on after having been stopped, in ms. */
const LAST_WORD_MS = 3_000;

/** Throws `not-found`, and `conflict` where the job is not active and has no process left. */
export async function cancelJob(
  context: Context,
  selector: JobSelector,
  order: CancelOrder,
): Promise<CancelResult> {
  const { store, job } = await findJob(context, selector);
  const ended = isActive(job.status) ? await endActive(context, store, job, order) : job;
  // Its worker was dead, or died while it was asked.
  if (ended.status === "LOST" && hasOrphans(new OrphanFinder(context).find(ended)))
    await terminate(context, ended, new Deadline(order.graceMs), companyOf(process.pid));
  else if (ended === job) throw notActive(job);
  // Where we have done the worker's work, this is the rest of it.
  if (isHookDue(ended)) await (await import("./hook-catch-up.ts")).catchUpHooks(context, [ended]);
  const { seen, unseen } = findProcesses(context, ended, { bystanders: companyOf(process.pid) });
  return { job: ended, survivors: seen.map((entry) => entry.pid), unseen };
}

async function endActive(context: Context, store: JobStore, job: Job, order: CancelOrder): Promise<Job> {
  // A process number means something in one namespace only.
  const pid = job.origin?.pidNamespace === context.origin.pidNamespace ? process.pid : 0;
  const requested = await store.requestCancel(job.jobId, { at: now(), ...order, pid });
  if (requested === undefined) throw notActive((await store.find(job.jobId)) ?? job);
  const reached = pokeOwner(lockFilePath(context.home, job.jobId));
  const patienceMs = reached ? order.graceMs + WORKER_PATIENCE_MS : 0;
  const asked = await waitForJob(context, store, requested, isFinished, patienceMs);
  return isFinished(asked) ? asked : cancelInstead(context, store, asked, order);
}

/**
 * The worker lives, but does not answer (it was stopped, its lock file was deleted, it is a Python one): its work is done
 * for it. It is held meanwhile, so that it cannot launch the command behind our back.
 */
async function cancelInstead(context: Context, store: JobStore, job: Job, order: CancelOrder): Promise<Job> {
  const { worker, origin } = job;
  if (origin !== null && origin.pidNamespace !== context.origin.pidNamespace) return job;
  const ours = origin === null ? null : worker;
  if (ours !== null && job.target !== null && !isLiving(readProcess(job.target.pid))) {
    // The command has ended by itself, and only the worker knows how: let it say so.
    signalProcess(ours, SIGCONT);
    const recorded = await waitForJob(context, store, job, isFinished, LAST_WORD_MS);
    if (isFinished(recorded)) return recorded;
  }
  if (ours !== null) signalProcess(ours, SIGSTOP);
  try {
    await terminate(context, job, new Deadline(order.graceMs), companyOf(process.pid));
    const outcome = { exitCode: null, signal: null, error: null, failure: null };
    const cancelled = await store.finish(job.jobId, "cancel", outcome, null, now());
    if (cancelled === undefined) return (await store.find(job.jobId)) ?? job;
    removeFile(lockFilePath(context.home, job.jobId));
    return cancelled;
  } finally {
    if (ours !== null) signalProcess(ours, SIGKILL);
  }
}

function notActive(job: Job): OrchesjobError {
  return new OrchesjobError("conflict", `cannot cancel job ${job.jobId}: it is ${job.status} already`);
}
