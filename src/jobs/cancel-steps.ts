/** The steps of `cancel`: asks the worker of a job to end it, ends what is left, and reports what could not be ended. */
import { mayHoldKey } from "../job/ending.ts";
import { formatExactly } from "../job/duration.ts";
import { OrchesjobError } from "../job/errors.ts";
import { isHookDue } from "../job/hook.ts";
import type { Job } from "../job/job.ts";
import { isFollowed, retriesLeft } from "../job/retry.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import { signalProcess } from "../linux/pidfd.ts";
import type { ProcessStat } from "../linux/self.ts";
import { SIGTERM } from "../linux/signals.ts";
import { callerProcesses } from "../processes/proc.ts";
import { Deadline, endAll, JobHunt } from "../processes/terminate.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { wakeOwner } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { findLastAttempt } from "./attempts.ts";
import { cancelInstead } from "./cancel-instead.ts";
import { findOrphans, hasOrphans, OrphanFinder, type Orphans } from "./orphan-finder.ts";
import { reread } from "./reconcile.ts";
import { isFinished } from "./start.ts";

export interface CancelOrder {
  readonly reason: string | null;
  readonly graceMs: number;
}

export interface CancelResult {
  /** Still active if its worker cannot be reached from here (another PID namespace), or cannot record the end. */
  readonly job: Job;
  /** Processes of the job that are still alive. */
  readonly survivors: Orphans;
}

/** How long after the grace period a healthy worker may take to answer, in ms. After that, `cancel` does its work. */
const WORKER_TIMEOUT_MS = 10_000;

/** What the worker of an active job was asked. */
export interface EndRequest {
  readonly job: Job;
  /** Whether somebody reads its lock file. */
  readonly isReached: boolean;
  /** How long to wait for the worker, in ms. */
  readonly timeoutMs: number;
}

/**
 * Ends what is left of a job; `asked`: the request to its worker, with the job as it is after the wait; undefined: the job had
 * ended before. Throws `conflict` if there is nothing to end.
 */
export async function concludeCancel(
  context: Context,
  store: JobStore,
  job: Job,
  order: CancelOrder,
  asked: EndRequest | undefined,
): Promise<CancelResult> {
  const seen = asked?.job ?? job;
  const ended = isFinished(seen)
    ? seen
    : await cancelInstead(context, store, seen, order.graceMs, asked!.isReached);
  // The job had ended before, or its worker died during the request: end the remaining processes from here.
  if (ended === job || ended.status === "LOST") {
    if (hasOrphans(new OrphanFinder(context).find(ended))) await endOrphans(context, ended, order);
    else if (ended === job && !isActive(job.status)) throw notActive(job);
  }
  // If the worker did not end the job, it will not run the hook either.
  if (isHookDue(ended)) await (await import("../hooks/catch-up.ts")).catchUpHooks(context, [ended]);
  const last = await reread(context, store, ended);
  return { job: last, survivors: await findSurvivors(context, store, last) };
}

/** Whether there is anything of the job that a cancel would end. */
export function canBeCancelled(context: Context, job: Job): boolean {
  if (isActive(job.status)) return true;
  return job.elsewhere?.holdsKey ?? hasOrphans(new OrphanFinder(context).find(job));
}

/** The last attempt of the run of a failed one, if there is anything of it to end; the job itself if not. */
export async function findActiveAttempt(context: Context, store: JobStore, job: Job): Promise<Job> {
  if (!isFollowed(job)) return job;
  const last = await reread(context, store, await findLastAttempt(context, store, job));
  return canBeCancelled(context, last) ? last : job;
}

function endOrphans(context: Context, job: Job, { graceMs }: CancelOrder): Promise<readonly ProcessStat[]> {
  return endAll(new JobHunt(context, job, callerProcesses(process.pid)), new Deadline(graceMs));
}

async function findSurvivors(context: Context, store: JobStore, job: Job): Promise<Orphans> {
  const excludedPids = callerProcesses(process.pid);
  const survivors = isActive(job.status)
    ? new OrphanFinder(context, excludedPids).ofActive(job)
    : await findOrphans(context, store, job, excludedPids);
  if (!hasOrphans(survivors) && !isActive(job.status) && job.status !== "LOST" && mayHoldKey(job)) {
    try {
      await store.recordLeft(job.jobId, [], null);
    } catch (error) {
      // Not essential: the next command that asks will look again.
      if (!(error instanceof OrchesjobError)) throw error;
      debug?.note("cannot record that no process is left", error);
    }
  }
  return survivors;
}

/** Asks the worker of an active job to end it. Throws `conflict` if the job is not active any more. */
export async function requestEnd(
  context: Context,
  store: JobStore,
  job: Job,
  order: CancelOrder,
): Promise<EndRequest> {
  // A pid is valid in its own PID namespace only.
  const isHere = job.origin?.pidNamespace === context.origin.pidNamespace;
  let requested: Job | undefined;
  try {
    requested = await store.requestCancel(job.jobId, { at: now(), ...order, pid: isHere ? process.pid : 0 });
  } catch (error) {
    const isUnwritable = error instanceof OrchesjobError && error.code === "general";
    if (!isUnwritable || !isHere || job.target === null) throw error;
    throw await endUnrecorded(context, job, order, error);
  }
  if (requested === undefined) {
    const ended = (await store.find(job.jobId)) ?? job;
    const attempt = await findActiveAttempt(context, store, ended);
    if (attempt === ended) throw notActive(ended);
    return requestEnd(context, store, attempt, order);
  }
  const isReached = wakeOwner(lockFilePath(context.home, job.jobId));
  debug?.about(job.jobId);
  debug?.note(
    isReached
      ? `asked the worker to cancel, with ${formatExactly(order.graceMs)} for TERM`
      : "recorded the cancel request; nobody reads the lock file",
  );
  return { job: requested, isReached, timeoutMs: isReached ? order.graceMs + WORKER_TIMEOUT_MS : 0 };
}

/** Ends the processes, and the run, although nothing can be written (full disk). Returns the error to throw. */
async function endUnrecorded(
  context: Context,
  job: Job,
  order: CancelOrder,
  error: OrchesjobError,
): Promise<OrchesjobError> {
  const left = await endOrphans(context, job, order);
  const pids = left.map(({ pid }) => pid).join(", ");
  const done =
    left.length === 0
      ? "its processes were ended all the same"
      : `of its processes these still live: ${pids}`;
  const { worker } = job;
  // Nobody can leave the worker a request, but after a signal it tries nothing again. Not before: it would pass the signal on.
  const isLast = worker !== null && retriesLeft(job) > 0 && signalProcess(worker, SIGTERM) === "sent";
  return new OrchesjobError(
    "general",
    `cannot record that job ${job.jobId} is cancelled: ${error.message}`,
    `${done}, and its worker will record how the command ended as soon as it can${isLast ? "; no other attempt follows" : ""}`,
  );
}

function notActive(job: Job): OrchesjobError {
  return new OrchesjobError("conflict", `cannot cancel job ${job.jobId}: it is already ${job.status}`);
}
