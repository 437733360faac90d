/** `clean`: deletes finished jobs with their logs. Files go first, so that a kill in between leaves rows for the next clean. */
import type { Instant, Job } from "../job/job.ts";
import { isHookDue } from "../job/hook.ts";
import { isActive } from "../job/status.ts";
import { removeFile } from "../os/file.ts";
import { HOOK_SUFFIX, hookFiles, lockFilePath, logFiles } from "../os/home.ts";
import { SystemError } from "../os/libc.ts";
import { listLocks, probeLock } from "../os/lock.ts";
import type { CleanCandidate, JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { hasOrphans, OrphanFinder } from "./reconcile.ts";

const BATCH = 2_000;
const PROGRESS_STEP = 10_000;
/** No launcher takes so long between its lock and its job, in ms. */
const STRAY_AGE_MS = 3_600_000;

export interface CleanResult {
  readonly deleted: number;
  readonly errors: number;
}

/** What is told of on the way. */
export interface CleanOrder {
  /** Jobs that finished before this time. */
  readonly before: Instant;
  /** Called with each job that would be deleted; then none is. */
  readonly dryRun?: (job: Job) => void;
}

export async function cleanJobs(context: Context, { before, dryRun }: CleanOrder): Promise<CleanResult> {
  const store = context.openStore();
  if (store === undefined) return { deleted: 0, errors: 0 };
  const finder = new OrphanFinder(context);
  const result = { deleted: 0, errors: 0 };
  for await (const batch of batches(store, before)) {
    const jobs = batch.filter((job) => !isHeld(context, finder, job) && !hasHookDue(context, job));
    const overdue = batch.filter(isHookDue);
    if (overdue.length > 0) (await import("./hook-catch-up.ts")).catchUpHooks(context, overdue);
    if (dryRun !== undefined) {
      for (const job of jobs) dryRun(job);
      result.deleted += jobs.length;
      continue;
    }
    const gone = jobs.filter((job) => deleteFiles(context, job));
    result.errors += jobs.length - gone.length;
    const step = Math.floor(result.deleted / PROGRESS_STEP);
    result.deleted += await store.remove(gone.map((job) => job.jobId));
    if (step < Math.floor(result.deleted / PROGRESS_STEP)) context.progress(`deleted ${result.deleted} jobs`);
  }
  if (dryRun === undefined) {
    await store.forgetRequests();
    await store.discardOldCopy();
    await store.shrink();
    await removeStrayLocks(context, store);
  }
  return result;
}

/** A LOST job whose command still runs is what keeps its key from running twice. */
function isHeld(context: Context, finder: OrphanFinder, job: Job): boolean {
  if (!hasOrphans(finder.find(job))) return false;
  context.notify(`job ${job.jobId} is kept: its command still runs`);
  return true;
}

/** What its hook is told of must be there when it looks. */
function hasHookDue(context: Context, job: Job): boolean {
  if (!isHookDue(job)) return false;
  context.notify(`job ${job.jobId} is kept: its --on-exit command has not ended yet`);
  return true;
}

/** A launcher that died before its job was accepted may have left a lock file that no job will ever ask for. */
async function removeStrayLocks(context: Context, store: JobStore): Promise<void> {
  for (const name of listLocks(context.home.locks, STRAY_AGE_MS)) {
    const path = lockFilePath(context.home, name);
    const ofHook = name.endsWith(HOOK_SUFFIX);
    const job = await store.find(ofHook ? name.slice(0, -HOOK_SUFFIX.length) : name);
    const isOver = job === undefined || (!isActive(job.status) && !(ofHook && isHookDue(job)));
    if (isOver && probeLock(path) === "free") removeFile(path);
  }
}

async function* batches(store: JobStore, before: Instant): AsyncGenerator<readonly Job[]> {
  let cursor: CleanCandidate | undefined;
  for (;;) {
    const candidates = await store.finishedBefore(before, BATCH, cursor);
    cursor = candidates.at(-1);
    if (cursor === undefined) return;
    yield candidates.map((candidate) => candidate.job);
  }
}

function deleteFiles(context: Context, job: Job): boolean {
  const { stdout, stderr } = logFiles(context.home, job.jobId);
  const files = [stdout, stderr, lockFilePath(context.home, job.jobId)];
  if (job.onExit !== null) files.push(...Object.values(hookFiles(context.home, job.jobId)));
  try {
    for (const path of files) removeFile(path);
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    context.notify(`job ${job.jobId} is kept: ${error.message}`);
    return false;
  }
}
