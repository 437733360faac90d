/** Turns an active job without an owner into LOST, and says which processes a LOST job has left behind. */
import { OrchesjobError } from "../job/errors.ts";
import { areDifferentBoots, type Job, type LostReason, type Origin } from "../job/job.ts";
import { isHookDue } from "../job/hook.ts";
import { isActive } from "../job/status.ts";
import { now } from "../os/clock.ts";
import { removeFile } from "../os/file.ts";
import { lockFilePath } from "../os/home.ts";
import { isOwnerGone } from "../os/liveness.ts";
import { ageOf, ProcessTable } from "../os/process-tree.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { findProcesses } from "./processes.ts";

/**
 * The job as it is in truth: the same, or LOST with the reason. Where that cannot be recorded now (full disk, read-only,
 * locked) it is told all the same, and recorded by who can; `mustRecord`: that is an error.
 */
export async function reconcile(
  context: Context,
  store: JobStore,
  job: Job,
  mustRecord = false,
): Promise<Job> {
  const known = isActive(job.status) ? await settle(context, store, job, mustRecord) : job;
  if (isHookDue(known)) await catchUp(context, [known]);
  return known;
}

/** As reconcile, for many. */
export async function reconcileAll(
  context: Context,
  store: JobStore,
  jobs: readonly Job[],
  mustRecord = false,
): Promise<readonly Job[]> {
  const settled: Job[] = [];
  const overdue: Job[] = [];
  for (const job of jobs) {
    const known = isActive(job.status) ? await settle(context, store, job, mustRecord) : job;
    settled.push(known);
    if (isHookDue(known)) overdue.push(known);
  }
  if (overdue.length > 0) await catchUp(context, overdue);
  return settled;
}

async function catchUp(context: Context, overdue: readonly Job[]): Promise<void> {
  const { catchUpHooks } = await import("./hook-catch-up.ts");
  return catchUpHooks(context, overdue);
}

/** As reconcile, for one that is active, without its hook. */
export async function settle(context: Context, store: JobStore, job: Job, mustRecord: boolean): Promise<Job> {
  const lockFile = lockFilePath(context.home, job.jobId);
  if (!isOwnerGone(job, lockFile, context.origin)) return job;
  const at = now();
  let last = job;
  try {
    // Whoever is gone changes it no more; what we read before may be older, and would give a false reason.
    last = (await store.find(job.jobId)) ?? job;
    if (!isActive(last.status)) return last;
    const lost = await store.lose(job.jobId, lostReason(last, context.origin), at);
    // Refused: somebody else has just found the loss.
    if (lost === undefined) return (await store.find(job.jobId)) ?? last;
    removeFile(lockFile);
    return lost;
  } catch (error) {
    if (mustRecord || !(error instanceof OrchesjobError)) throw error;
    return { ...last, status: "LOST", lostReason: lostReason(last, context.origin), finishedAt: at };
  }
}

/** A known job as it is now. Throws `not-found` where it is no more: somebody who waited for it would wait for ever. */
export async function refresh(context: Context, store: JobStore, job: Job): Promise<Job> {
  const found = (await store.find(job.jobId)) ?? (await recallJob(context, store, job));
  if (found !== undefined) return reconcile(context, store, found);
  throw new OrchesjobError(
    "not-found",
    `job ${job.jobId} of run key ${JSON.stringify(job.runKey)} has ended and was deleted (orchesjob clean) before its result was read`,
  );
}

/** It runs, and an older database was put in the place of the one that knew it. */
async function recallJob(context: Context, store: JobStore, job: Job): Promise<Job | undefined> {
  const { recall } = await import("./forgotten.ts");
  await recall(context, store);
  return store.find(job.jobId);
}

function lostReason(job: Job, origin: Origin): LostReason {
  if (job.origin === null) return "unknown";
  if (areDifferentBoots(job.origin, origin)) return job.origin.host === origin.host ? "reboot" : "unknown";
  return job.status === "STARTING" ? "start_interrupted" : "worker_killed";
}

export interface Orphans {
  readonly pids: readonly number[];
  /** Age of the oldest, in seconds; undefined where none can be seen. */
  readonly ageSeconds: number | undefined;
  /** A process that cannot be seen from here (another PID namespace, another user) has the job's output open. */
  readonly unseen: boolean;
}

const NO_ORPHANS: Orphans = { pids: [], ageSeconds: undefined, unseen: false };

/** Finds the processes that outlived their jobs' workers; the process table is read once for all jobs asked about. */
export class OrphanFinder {
  #table: ProcessTable | undefined;

  constructor(readonly context: Context) {}

  find(job: Job): Orphans {
    if (job.status !== "LOST") return NO_ORPHANS;
    const { origin } = this.context;
    // Nothing outlives a reboot.
    if (job.origin !== null && areDifferentBoots(job.origin, origin)) return NO_ORPHANS;
    this.#table ??= new ProcessTable(origin);
    const { seen, unseen } = findProcesses(this.context, job, { table: this.#table });
    const oldest = seen[0];
    return {
      pids: seen.map((entry) => entry.pid),
      ageSeconds: oldest === undefined ? undefined : ageOf(oldest),
      unseen,
    };
  }
}

export function hasOrphans(orphans: Orphans): boolean {
  return orphans.pids.length > 0 || orphans.unseen;
}
