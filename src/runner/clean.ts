/** `clean`: deletes finished jobs with their logs. Files go first, so that a kill in between leaves rows for the next clean. */
import type { Instant, Job } from "../job/job.ts";
import { removeFile } from "../os/file.ts";
import { lockFilePath, logFiles } from "../os/home.ts";
import { SystemError } from "../os/libc.ts";
import type { CleanCandidate, JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { hasOrphans, OrphanFinder } from "./reconcile.ts";

const BATCH = 2_000;
const PROGRESS_STEP = 10_000;

export interface CleanResult {
  readonly deleted: number;
  readonly errors: number;
}

export async function cleanJobs(context: Context, before: Instant, dryRun: boolean): Promise<CleanResult> {
  const store = context.openStore();
  if (store === undefined) return { deleted: 0, errors: 0 };
  const finder = new OrphanFinder(context);
  let deleted = 0;
  let errors = 0;
  for await (const batch of batches(store, before)) {
    // A LOST job whose command still runs is what keeps its key from running twice.
    const jobs = batch.filter((job) => !hasOrphans(finder.find(job)));
    for (const job of batch)
      if (!jobs.includes(job)) context.notify(`job ${job.jobId} is kept: its command still runs`);
    if (dryRun) {
      for (const job of jobs) context.notify(`Would delete job ${job.jobId} (${job.runKey}, ${job.status})`);
      deleted += jobs.length;
      continue;
    }
    const gone = jobs.filter((job) => deleteFiles(context, job));
    errors += jobs.length - gone.length;
    const before = deleted;
    deleted += await store.remove(gone.map((job) => job.jobId));
    if (Math.floor(before / PROGRESS_STEP) < Math.floor(deleted / PROGRESS_STEP))
      context.progress(`deleted ${deleted} jobs`);
  }
  if (!dryRun) {
    await store.forgetRequests();
    await store.discardOldCopy();
  }
  return { deleted, errors };
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
  const logs = logFiles(context.home, job.jobId);
  try {
    for (const path of [logs.stdout, logs.stderr, lockFilePath(context.home, job.jobId)]) removeFile(path);
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    context.notify(`job ${job.jobId} is kept: ${error.message}`);
    return false;
  }
}
