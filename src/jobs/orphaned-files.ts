/**
 * Log and lock files that belong to no job. A log is opened only when its job is in the store, so a log without a job is
 * one whose row is gone: deleted by hand, or not yet in a backup that was put back, or in a database that was moved away
 * because it was damaged. In the last two somebody may want it still, and the log may be older than the mishap. So it goes
 * only where somebody says how old is old enough, then as a job would that ended with the last write, and never before a
 * week is over; and not while anybody has it open.
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

/** In ms. */
const ORPHANED_LOG_AGE_MS = 7 * 86_400_000;
/** No launcher takes so long between its lock and its job, in ms. */
const ORPHANED_LOCK_AGE_MS = 3_600_000;

export interface SweepOrder {
  /** Only logs last written before this time; undefined: no logs at all. */
  readonly before: Instant | undefined;
  /** Called with the path of each file that would be deleted; then none is. */
  readonly dryRun: ((path: string) => void) | undefined;
}

export interface SweepResult {
  readonly orphanedFiles: number;
  /** Logs that belong to no job either, and stay: they are too young, or somebody has them open. */
  readonly keptLogs: number;
  readonly errors: number;
  /** Bytes of the logs that do belong to jobs. */
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

/** No process writes it, and no worker is there that the store does not know. */
function isUnused(context: Context, jobId: string, path: string): boolean {
  const files = [path, lockFilePath(context.home, jobId), ...Object.values(pipeFiles(context.home, jobId))];
  return files.every((file) => probeLock(file) !== "held");
}

/** What is in a FIFO that nobody has open is lost already; as long as a job is known, the next look at it sees to its FIFOs. */
async function findOrphanedPipes(context: Context, store: JobStore): Promise<readonly string[]> {
  const orphaned: string[] = [];
  for (const names of readNames(context.home.pipes)) {
    for (const name of names) {
      const jobId = jobOfPipe(name);
      if (jobId === undefined || (await store.find(jobId)) !== undefined) continue;
      const path = `${context.home.pipes}/${name}`;
      if (probeLock(path) === "free" && probeLock(lockFilePath(context.home, jobId)) !== "held")
        orphaned.push(path);
    }
  }
  return orphaned;
}

/** A launcher that died before its job was accepted may have left a lock file that no job will ever ask for. */
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
