/**
 * Starts the process that takes care of jobs whose workers were killed: it copies their output, if that is a pipe, and waits for
 * the processes that they have left. Commands call it for the jobs that they look at.
 */
import type { Job } from "../job/job.ts";
import { keepAlive } from "../hooks/catch-up.ts";
import { probeLock } from "../linux/file-lock.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { keeperLock } from "../state/paths.ts";
import { lacksCopier } from "./output.ts";
import { spawnCopier } from "./spawn-copier.ts";

/** How many jobs one command takes care of at most; the next command takes the rest. */
const MOST_JOBS = 200;

/** When this process has started one for a job, on the clock of performance.now(). */
const started = new Map<string, number>();

/** How long a keeper may take to begin before another is started, in ms. Two do no harm: one of them ends at once. */
const BEGINS_MS = 1_000;

/** For jobs that may lack a copier. Reports no failure: the next command tries again. */
export function catchUpOutput(context: Context, jobs: readonly Job[]): Promise<void> {
  return catchUp(context, jobs, (job) => !started.has(job.jobId) && lacksCopier(context.home, job));
}

/** For lost jobs that have living processes. Reports no failure: the next command tries again. */
export function catchUpOrphans(context: Context, jobs: readonly Job[]): Promise<void> {
  const latest = performance.now() - BEGINS_MS;
  const isIdle = ({ jobId }: Job) =>
    (started.get(jobId) ?? Number.NEGATIVE_INFINITY) <= latest &&
    probeLock(keeperLock(context.home, jobId)) !== "held";
  return catchUp(context, jobs, isIdle);
}

async function catchUp(context: Context, jobs: readonly Job[], isIdle: (job: Job) => boolean): Promise<void> {
  try {
    const idle = jobs.filter(isIdle).slice(0, MOST_JOBS);
    const first = idle[0]?.jobId;
    if (first === undefined) return;
    for (const { jobId } of idle) started.set(jobId, performance.now());
    const pid = spawnCopier(context.home, idle);
    debug?.note(`spawned copier and keeper ${pid} for jobs ${idle.map(({ jobId }) => jobId).join(", ")}`);
    await keepAlive(context, pid, `orchesjob-copy-${first}.scope`, "orchesjob: jobs without a worker");
  } catch (error) {
    debug?.note("cannot start a copier and keeper", error);
    // The caller asked about a job, and gets the answer in any case.
  }
}
