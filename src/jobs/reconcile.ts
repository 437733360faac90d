/** Turns an active job without an owner into LOST, and says which processes outlived a job that was ended before its time. */
import { mayHoldKey } from "../job/ending.ts";
import { OrchesjobError } from "../job/errors.ts";
import { isHookDue } from "../job/hook.ts";
import { areDifferentBoots, type Job, type LostReason, type Origin } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import { removeFile } from "../linux/file.ts";
import { findProcesses, type JobProcesses } from "../processes/job-processes.ts";
import { isOwnerGone } from "../processes/liveness.ts";
import { ProcessTable } from "../processes/table.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";

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
  if (mayLackCopier(known)) await catchUpOutput(context, [known]);
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
  const piped: Job[] = [];
  for (const job of jobs) {
    const known = isActive(job.status) ? await settle(context, store, job, mustRecord) : job;
    settled.push(known);
    if (isHookDue(known)) overdue.push(known);
    if (mayLackCopier(known)) piped.push(known);
  }
  if (overdue.length > 0) await catchUp(context, overdue);
  if (piped.length > 0) await catchUpOutput(context, piped);
  return settled;
}

/** The worker of an active job copies what it writes. */
function mayLackCopier({ output, status }: Job): boolean {
  return output === "pipe" && !isActive(status);
}

async function catchUpOutput(context: Context, piped: readonly Job[]): Promise<void> {
  const { catchUpOutput: catchUp } = await import("../worker/output-catch-up.ts");
  return catchUp(context, piped);
}

async function catchUp(context: Context, overdue: readonly Job[]): Promise<void> {
  const { catchUpHooks } = await import("../hooks/catch-up.ts");
  return catchUpHooks(context, overdue);
}

/** As reconcile, for one that is active, without its hook. */
export async function settle(context: Context, store: JobStore, job: Job, mustRecord: boolean): Promise<Job> {
  const lockFile = lockFilePath(context.home, job.jobId);
  if (!isOwnerGone(job, lockFile, context.origin)) return job;
  let last = job;
  try {
    // Whoever is gone changes it no more; what we read before may be older, and would give a false reason.
    last = (await store.find(job.jobId)) ?? job;
    if (!isActive(last.status)) return last;
    const lost = await store.lose(job.jobId, lostReason(last, context.origin), now());
    // Refused: somebody else has just found the loss.
    if (lost === undefined) return (await store.find(job.jobId)) ?? last;
    debug?.about(job.jobId);
    debug?.note(`recorded LOST (${lost.lostReason})`);
    removeFile(lockFile);
    return lost;
  } catch (error) {
    if (mustRecord || !(error instanceof OrchesjobError)) throw error;
    debug?.note(`cannot record that job ${job.jobId} is LOST`, error);
    // When it was found is told once it is recorded: until then each look would tell another time.
    return { ...last, status: "LOST", lostReason: lostReason(last, context.origin), finishedAt: null };
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
  const { recall } = await import("./unknown-jobs.ts");
  await recall(context, store);
  return store.find(job.jobId);
}

function lostReason(job: Job, origin: Origin): LostReason {
  if (job.origin === null) return "unknown";
  if (areDifferentBoots(job.origin, origin)) return job.origin.host === origin.host ? "reboot" : "unknown";
  return job.status === "STARTING" ? "start_interrupted" : "worker_killed";
}

export interface Orphans extends JobProcesses {
  readonly pids: readonly number[];
}

const NO_ORPHANS: Orphans = { seen: [], pids: [], unseen: false };

/** Finds the processes that outlived their jobs; the process table is read once for all jobs asked about. */
export class OrphanFinder {
  #table: ProcessTable | undefined;

  constructor(
    readonly context: Context,
    /** See Evidence. */
    readonly excludedPids: ReadonlySet<number> = new Set(),
  ) {}

  find(job: Job): Orphans {
    if (!mayHoldKey(job)) return NO_ORPHANS;
    // Nothing outlives a reboot.
    if (job.origin !== null && areDifferentBoots(job.origin, this.context.origin)) return NO_ORPHANS;
    return this.ofActive(job);
  }

  /** As find, of a job whose end could not be recorded. */
  ofActive(job: Job): Orphans {
    this.#table ??= new ProcessTable(this.context.origin);
    const { seen, unseen } = findProcesses(this.context, job, {
      table: this.#table,
      excludedPids: this.excludedPids,
    });
    const pids: number[] = [];
    for (const { pid } of seen) pids.push(pid);
    return { seen, pids, unseen };
  }
}

export function hasOrphans(orphans: Orphans): boolean {
  return orphans.pids.length > 0 || orphans.unseen;
}

const UNSEEN_LOOKS = 10;
const UNSEEN_PAUSE_MS = 20;

/**
 * As OrphanFinder, for who is about to refuse something. A process that is just dying, or just coming to be, holds files and
 * cannot be seen yet or any more; and a worker takes a moment to say that nobody is left.
 */
export async function findOrphans(
  context: Context,
  store: JobStore,
  job: Job,
  excludedPids?: ReadonlySet<number>,
): Promise<Orphans> {
  let current = job;
  for (let looks = 0; ; looks++) {
    const orphans = new OrphanFinder(context, excludedPids).find(current);
    if (!orphans.unseen || looks === UNSEEN_LOOKS) return orphans;
    await Bun.sleep(UNSEEN_PAUSE_MS);
    current = (await store.find(job.jobId)) ?? current;
  }
}

/** Tells whoever has seen the end of a job that processes of it still live, and hold its key. */
export async function tellOrphans(context: Context, job: Job, orphans: Orphans): Promise<void> {
  if (!hasOrphans(orphans)) return;
  const { describeSurvivors } = await import("./survivors.ts");
  const { end, who, hint } = describeSurvivors(context, job, orphans);
  context.notify(`${end}, but ${who}; its key is not free until then: ${hint}`);
}
