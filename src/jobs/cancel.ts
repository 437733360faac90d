/** `cancel`: ends a job and all its processes, and reports those that it could not end. */
import { mayHoldKey } from "../job/ending.ts";
import { formatExactly } from "../job/duration.ts";
import { OrchesjobError } from "../job/errors.ts";
import { isHookDue } from "../job/hook.ts";
import type { Job, ProcessIdentity } from "../job/job.ts";
import { isActive } from "../job/status.ts";
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
import { wakeOwner } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { toOutcome, UNKNOWN } from "../worker/outcome.ts";
import type { JobSelector } from "../job/request.ts";
import { findJob } from "./find.ts";
import { findOrphans, hasOrphans, NO_ORPHANS, OrphanFinder, type Orphans } from "./reconcile.ts";
import { isFinished } from "./start.ts";
import { waitForJob } from "./wait.ts";

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

/** How long a worker that was stopped may take to record the end after SIGCONT, in ms. */
const CONTINUED_WORKER_TIMEOUT_MS = 3_000;

/** Throws `not-found`, and `conflict` if the job is not active and has no process left. */
export async function cancelJob(
  context: Context,
  selector: JobSelector,
  order: CancelOrder,
): Promise<CancelResult> {
  const { store, job } = await findJob(context, selector);
  if (job.elsewhere !== undefined) {
    const { cancelElsewhere } = await import("./elsewhere.ts");
    return { job: await cancelElsewhere(context, job, order), survivors: NO_ORPHANS };
  }
  const ended = isActive(job.status) ? await endActive(context, store, job, order) : job;
  // The job had ended before, or its worker died during the request: end the remaining processes from here.
  if (ended === job || ended.status === "LOST") {
    if (hasOrphans(new OrphanFinder(context).find(ended))) await endOrphans(context, ended, order);
    else if (ended === job && !isActive(job.status)) throw notActive(job);
  }
  // If the worker did not end the job, it will not run the hook either.
  if (isHookDue(ended)) await (await import("../hooks/catch-up.ts")).catchUpHooks(context, [ended]);
  const last = (await store.find(ended.jobId)) ?? ended;
  return { job: last, survivors: await findSurvivors(context, store, last) };
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

async function endActive(context: Context, store: JobStore, job: Job, order: CancelOrder): Promise<Job> {
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
  if (requested === undefined) throw notActive((await store.find(job.jobId)) ?? job);
  const isReached = wakeOwner(lockFilePath(context.home, job.jobId));
  debug?.about(job.jobId);
  debug?.note(
    isReached
      ? `asked the worker to cancel, with ${formatExactly(order.graceMs)} for TERM`
      : "recorded the cancel request; nobody reads the lock file",
  );
  const busyTimeoutMs = isReached ? order.graceMs + WORKER_TIMEOUT_MS : 0;
  const asked = await waitForJob(context, store, requested, isFinished, busyTimeoutMs);
  return isFinished(asked) ? asked : cancelInstead(context, store, asked, order, isReached);
}

/** Ends the processes although nothing can be written (full disk). Returns the error to throw. */
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
  return new OrchesjobError(
    "general",
    `cannot record that job ${job.jobId} is cancelled: ${error.message}`,
    `${done}, and its worker will record how the command ended as soon as it can`,
  );
}

/**
 * Does the work of a worker that lives but does not answer (it was stopped, its lock file was deleted, or it is a Python worker).
 * Keeps it stopped meanwhile, so that it can neither launch the command nor record another end.
 */
async function cancelInstead(
  context: Context,
  store: JobStore,
  job: Job,
  order: CancelOrder,
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
    const left = await endAll(hunt, new Deadline(order.graceMs));
    const end =
      target !== null && workerProcess !== undefined ? readEnd(target.pid, workerProcess) : undefined;
    const outcome = end === undefined ? UNKNOWN : toOutcome(end, null);
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

function notActive(job: Job): OrchesjobError {
  return new OrchesjobError("conflict", `cannot cancel job ${job.jobId}: it is already ${job.status}`);
}
