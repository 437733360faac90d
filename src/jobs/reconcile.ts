/** Finds out what is true of jobs now: records active ones without an owner as LOST, and lets what is due be caught up. */
import { OrchesjobError } from "../job/errors.ts";
import { isHookDue } from "../job/hook.ts";
import { areDifferentBoots, type Job, type LostReason, type Origin } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import { removeFile } from "../linux/file.ts";
import { isOwnerGone } from "../processes/liveness.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { OrphanFinder } from "./orphan-finder.ts";

/**
 * Returns the job as it really is: unchanged, or LOST with the reason. Starts a due hook, and a missing copier of its output. If
 * the loss cannot be recorded now (disk full, read-only or locked), returns it anyway, and a later command records it; with
 * `mustRecord`, throws OrchesjobError instead.
 */
export async function reconcile(
  context: Context,
  store: JobStore,
  job: Job,
  mustRecord = false,
): Promise<Job> {
  // A host judges only its own processes.
  if (job.elsewhere !== undefined) return job;
  const known = isActive(job.status) ? await settle(context, store, job, mustRecord) : job;
  if (isHookDue(known)) await catchUp(context, [known]);
  if (mayLackCopier(known)) await catchUpOutput(context, [known]);
  if (known !== job) await keepLost(context, [known]);
  return known;
}

/** As reconcile, for many jobs. */
export async function reconcileAll(
  context: Context,
  store: JobStore,
  jobs: readonly Job[],
  mustRecord = false,
): Promise<readonly Job[]> {
  const settled: Job[] = [];
  const overdue: Job[] = [];
  const piped: Job[] = [];
  const lost: Job[] = [];
  for (const job of jobs) {
    if (job.elsewhere !== undefined) {
      settled.push(job);
      continue;
    }
    const known = isActive(job.status) ? await settle(context, store, job, mustRecord) : job;
    settled.push(known);
    if (isHookDue(known)) overdue.push(known);
    if (mayLackCopier(known)) piped.push(known);
    if (known !== job) lost.push(known);
  }
  if (overdue.length > 0) await catchUp(context, overdue);
  if (piped.length > 0) await catchUpOutput(context, piped);
  await keepLost(context, lost);
  return settled;
}

/** Whether the output of a job may need a copier: while the job is active, its worker copies. */
function mayLackCopier({ output, status }: Job): boolean {
  return output === "pipe" && !isActive(status);
}

async function catchUpOutput(context: Context, piped: readonly Job[]): Promise<void> {
  const { catchUpOutput: catchUp } = await import("../worker/lost-catch-up.ts");
  return catchUp(context, piped);
}

async function catchUp(context: Context, overdue: readonly Job[]): Promise<void> {
  const { catchUpHooks } = await import("../hooks/catch-up.ts");
  return catchUpHooks(context, overdue);
}

/** As reconcile, for an active job, without hook and copier. */
export async function settle(context: Context, store: JobStore, job: Job, mustRecord: boolean): Promise<Job> {
  const lockFile = lockFilePath(context.home, job.jobId);
  if (!isOwnerGone(job, lockFile, context.origin)) return job;
  let last = job;
  try {
    // Read again: the owner is gone and changes nothing any more, but the row read before may be older, with a wrong reason.
    last = (await store.find(job.jobId)) ?? job;
    if (!isActive(last.status)) return last;
    const lost = await store.lose(job.jobId, lostReason(last, context.origin), now());
    // Another process has just recorded the loss.
    if (lost === undefined) return (await store.find(job.jobId)) ?? last;
    debug?.about(job.jobId);
    debug?.note(`recorded LOST (${lost.lostReason})`);
    removeFile(lockFile);
    // The fleet must hear of it, and after a reboot no agent runs yet.
    if (lost.onPartition !== null) (await import("../fleet/spawn-agent.ts")).ensureAgent(context.home);
    return lost;
  } catch (error) {
    if (mustRecord || !(error instanceof OrchesjobError)) throw error;
    debug?.note(`cannot record that job ${job.jobId} is LOST`, error);
    return unrecordedLoss(context, last);
  }
}

/** As reconcile, for a process that must change nothing: says what is true, and leaves the record to others. */
export async function judge(context: Context, store: JobStore, job: Job): Promise<Job> {
  if (job.elsewhere !== undefined || !isActive(job.status)) return job;
  if (!isOwnerGone(job, lockFilePath(context.home, job.jobId), context.origin)) return job;
  // As in settle.
  const last = (await store.find(job.jobId)) ?? job;
  return isActive(last.status) ? unrecordedLoss(context, last) : last;
}

/** No finishedAt until the loss is recorded: each call would return another time. */
function unrecordedLoss(context: Context, job: Job): Job {
  return { ...job, status: "LOST", lostReason: lostReason(job, context.origin), finishedAt: null };
}

/** Reads a known job again. Throws `not-found` if it was deleted, so that nobody waits for it forever. */
export async function refresh(context: Context, store: JobStore, job: Job): Promise<Job> {
  if (job.elsewhere !== undefined) return (await import("./elsewhere.ts")).refreshElsewhere(context, job);
  const found = (await store.find(job.jobId)) ?? (await restoreJob(context, store, job));
  if (found !== undefined) return reconcile(context, store, found);
  throw new OrchesjobError(
    "not-found",
    `job ${job.jobId} of run key ${JSON.stringify(job.runKey)} has ended and was deleted (orchesjob clean) before its result was read`,
  );
}

/**
 * The known job as it is now, or as it was if it was deleted. As it really is: on a full disk the row of a lost job still says
 * that it runs.
 */
export async function reread(context: Context, store: JobStore, job: Job): Promise<Job> {
  const found = await store.find(job.jobId);
  if (found === undefined) return job;
  return isActive(found.status) ? reconcile(context, store, found) : found;
}

/** Restores a job that runs, but is missing because an older database was put back. */
async function restoreJob(context: Context, store: JobStore, job: Job): Promise<Job | undefined> {
  const { restoreFromWorkers } = await import("./unknown-jobs.ts");
  await restoreFromWorkers(context, store);
  return store.find(job.jobId);
}

function lostReason(job: Job, origin: Origin): LostReason {
  if (job.origin === null) return "unknown";
  if (areDifferentBoots(job.origin, origin)) return job.origin.host === origin.host ? "reboot" : "unknown";
  return job.status === "STARTING" ? "start_interrupted" : "worker_killed";
}

/** Starts a keeper for those jobs that were just found to be lost and have left processes. */
async function keepLost(context: Context, jobs: readonly Job[]): Promise<void> {
  if (jobs.length === 0) return;
  const finder = new OrphanFinder(context);
  for (const job of jobs) finder.find(job);
  await finder.keep();
}
