/** `cancel` of a job whose worker does not answer. */
import type { Job, ProcessIdentity } from "../job/job.ts";
import { isAwaitingRetry } from "../job/retry.ts";
import { readEnd } from "../linux/children.ts";
import { now } from "../linux/clock.ts";
import { removeFile } from "../linux/file.ts";
import { identify, lives, maySignal, signalProcess } from "../linux/pidfd.ts";
import { type ProcessStat, readProcess } from "../linux/self.ts";
import { SIGCONT, SIGKILL, SIGSTOP } from "../linux/signals.ts";
import { findWorker } from "../processes/find-worker.ts";
import { findChildren, findProcesses } from "../processes/job-processes.ts";
import { callerProcesses } from "../processes/proc.ts";
import { Deadline, endAll, JobHunt } from "../processes/terminate.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { CANCELLED_BEFORE, toOutcome, UNKNOWN } from "../worker/outcome.ts";
import { isFinished } from "./start.ts";
import { waitForJob } from "./wait.ts";

/** How long a worker that was stopped may take to record the end after SIGCONT, in ms. */
const CONTINUED_WORKER_TIMEOUT_MS = 3_000;

/**
 * Does the work of a worker that lives but does not answer (it was stopped, its lock file was deleted, or it is a Python worker).
 * Keeps it stopped meanwhile, so that it can neither launch the command nor record another end.
 */
export async function cancelInstead(
  context: Context,
  store: JobStore,
  job: Job,
  graceMs: number,
  isReached: boolean,
): Promise<Job> {
  const { worker, origin, target } = job;
  if (origin !== null && origin.pidNamespace !== context.origin.pidNamespace) return job;
  const isPython = origin === null;
  const workerProcess = isPython ? findWorker(job.jobId) : (worker ?? undefined);
  if (workerProcess !== undefined && target !== null && !lives(target)) {
    // The command has ended by itself, and only the worker knows its exit code: let it record that.
    signalProcess(workerProcess, SIGCONT);
    const recorded = await waitForJob(context, store, job, isFinished, CONTINUED_WORKER_TIMEOUT_MS);
    if (isFinished(recorded)) return recorded;
  }
  // A healthy worker has ended everything, but cannot record it. Leave it alone: it keeps trying.
  if (isReached && workerProcess !== undefined && job.token !== null && isWell(context, job, workerProcess))
    return job;
  debug?.note("the worker does not answer: stops it, and ends the job in its place");
  if (workerProcess !== undefined) signalProcess(workerProcess, SIGSTOP);
  let isOver = false;
  try {
    const hunt = new StandInHunt(context, job, callerProcesses(process.pid), workerProcess);
    const left = await endAll(hunt, new Deadline(graceMs));
    const end =
      target !== null && workerProcess !== undefined ? readEnd(target.pid, workerProcess) : undefined;
    const unseen = target === null && isAwaitingRetry(job) ? CANCELLED_BEFORE : UNKNOWN;
    const outcome = end === undefined ? unseen : toOutcome(end, null);
    const leftBehind = left.map(({ pid }) => identify(pid));
    const cancelled = await store.finish(job.jobId, "cancel", outcome, null, now(), leftBehind);
    isOver = !isPython && (cancelled !== undefined || target === null);
    if (cancelled === undefined) return (await store.find(job.jobId)) ?? job;
    removeFile(lockFilePath(context.home, job.jobId));
    return cancelled;
  } finally {
    // Continue a Python worker: the database ignores its result (trigger jobs_python_update). Also continue a worker whose job's
    // end could not be recorded here: it records the end itself.
    if (workerProcess !== undefined) signalProcess(workerProcess, isOver ? SIGKILL : SIGCONT);
  }
}

/** Whether a worker is healthy: it is not stopped, and has ended all processes of the job that can be ended. */
function isWell(context: Context, job: Job, workerProcess: ProcessIdentity): boolean {
  if (/[Tt]/.test(readProcess(workerProcess.pid)?.state ?? "")) return false;
  const { seen } = findProcesses(context, job, {
    excludedPids: callerProcesses(process.pid),
    trustSession: false,
  });
  return !seen.some(({ pid, state }) => state !== "D" && maySignal(pid));
}

/** Finds the processes of a job whose worker is stopped. */
class StandInHunt extends JobHunt {
  constructor(
    context: Context,
    job: Job,
    excludedPids: ReadonlySet<number>,
    readonly workerProcess: ProcessIdentity | undefined,
  ) {
    super(context, job, excludedPids);
  }

  override look(): readonly ProcessStat[] {
    const seen = super.look();
    // The row of a Python job has no more than the pid of the command, so also look at the children of its worker.
    return seen.length > 0 ? seen : (this.#children() ?? []);
  }

  override missed(): readonly ProcessStat[] {
    // A worker of ours is a subreaper: processes that lose their parent become its children. If it has none, none is left.
    if (this.job.origin !== null && this.#children() !== undefined) return [];
    return super.missed();
  }

  #children(): readonly ProcessStat[] | undefined {
    const { workerProcess } = this;
    // Another process may have its pid by now.
    return workerProcess !== undefined && lives(workerProcess)
      ? findChildren(this.context, this.job, workerProcess.pid)
      : undefined;
  }
}
