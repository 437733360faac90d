/**
 * Deletes log and lock files that belong to no job. A log is created only after its job is in the store, so the row of a log
 * without a job is gone: deleted by hand, newer than a backup that was put back, or in a damaged database that was moved away.
 * In the last two cases the log may still be wanted. So it is deleted only if the caller gives an age, is then treated as a job
 * that ended with its last write, is at least a week old, and no process writes to it.
 */
import { OrchesjobError } from "../job/errors.ts";
import { isHookDue } from "../job/hook.ts";
import type { Instant } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { probeLock } from "../linux/file-lock.ts";
import { removeFile } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { listLocks } from "../state/job-lock.ts";
import { jobOfLock, jobOfLog, jobOfPipe, statLog, readNames } from "../state/log-directory.ts";
import { lockFilePath, pipeFiles } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";

/** A younger log is kept, in ms. */
const ORPHANED_LOG_AGE_MS = 7 * 86_400_000;
/** A younger lock file is kept, in ms: its launcher may not have inserted the job yet. */
const ORPHANED_LOCK_AGE_MS = 3_600_000;

export interface SweepOrder {
  /** Deletes only logs last written before this time; undefined: no logs. */
  readonly before: Instant | undefined;
  /** If given, is called with the path of each file that would be deleted, and nothing is deleted. */
  readonly dryRun: ((path: string) => void) | undefined;
}

export interface SweepResult {
  readonly orphanedFiles: number;
  /** Number of logs without a job that stay, because they are too young or a process writes to them. */
  readonly keptLogs: number;
  readonly errors: number;
  /** Bytes of the logs that belong to jobs. */
  readonly logBytes: number;
}

export async function sweepOrphanedFiles(
  context: Context,
  store: JobStore,
  { before, dryRun }: SweepOrder,
): Promise<SweepResult> {
  const result = { orphanedFiles: 0, keptLogs: 0, errors: 0, logBytes: 0 };
  const drop = (path: string) => {
    if (dryRun !== undefined) dryRun(path);
    else if (!removeFile(path)) return;
    result.orphanedFiles += 1;
  };
  for (const names of readNames(context.home.logs)) {
    const logs = names.flatMap((name) => {
      const jobId = jobOfLog(name);
      return jobId === undefined ? [] : [{ jobId, path: `${context.home.logs}/${name}` }];
    });
    const orphaned = new Set(await store.unknown([...new Set(logs.map(({ jobId }) => jobId))]));
    for (const { jobId, path } of logs) {
      attempt(context, result, () => {
        if (!orphaned.has(jobId)) result.logBytes += statLog(path)?.size ?? 0;
        else if (isOld(path, before) && isUnused(context, jobId, path)) drop(path);
        else result.keptLogs += 1;
      });
    }
  }
  for (const path of await findOrphanedPipes(context, store)) attempt(context, result, () => drop(path));
  for (const path of await findOrphanedLocks(context, store)) attempt(context, result, () => drop(path));
  return result;
}

function isOld(path: string, before: Instant | undefined): boolean {
  if (before === undefined) return false;
  const latest = Math.min(Date.now() - ORPHANED_LOG_AGE_MS, before / 1000);
  return (statLog(path)?.modifiedAt ?? Number.POSITIVE_INFINITY) < latest;
}

/** Whether no process writes to the log, and no worker of the job lives (which the store may not know). */
function isUnused(context: Context, jobId: string, path: string): boolean {
  const files = [path, lockFilePath(context.home, jobId), ...Object.values(pipeFiles(context.home, jobId))];
  return files.every((file) => probeLock(file) !== "held");
}

/** FIFOs without a job that no process writes to: their content is lost already. Those of known jobs are left to reconcile. */
async function findOrphanedPipes(context: Context, store: JobStore): Promise<readonly string[]> {
  const orphaned: string[] = [];
  for (const names of readNames(context.home.pipes)) {
    for (const name of names) {
      const jobId = jobOfPipe(name);
      if (jobId === undefined || (await store.find(jobId)) !== undefined) continue;
      const path = `${context.home.pipes}/${name}`;
      if (isUnused(context, jobId, path)) orphaned.push(path);
    }
  }
  return orphaned;
}

/** Lock files that no process holds and no job needs, e.g. of a launcher that died before its job was accepted. */
async function findOrphanedLocks(context: Context, store: JobStore): Promise<readonly string[]> {
  const orphaned: string[] = [];
  for (const name of listLocks(context.home.locks, ORPHANED_LOCK_AGE_MS)) {
    const jobId = jobOfLock(name);
    if (jobId === undefined) continue;
    const path = lockFilePath(context.home, name);
    const job = await store.find(jobId);
    const isOver = job === undefined || (!isActive(job.status) && !isHookDue(job));
    if (isOver && probeLock(path) === "free") orphaned.push(path);
  }
  return orphaned;
}

function attempt(context: Context, result: { errors: number }, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof OrchesjobError)) throw error;
    result.errors += 1;
    context.notify(error.message);
  }
}
