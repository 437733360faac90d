/** `cancel`: ends a job, and proves that nothing of it is left. */
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
import { findJob, type JobSelector } from "./find.ts";
import { findOrphans, hasOrphans, OrphanFinder, type Orphans } from "./reconcile.ts";
import { isFinished } from "./start.ts";
import { waitForJob } from "./wait.ts";

export interface CancelOrder {
  readonly reason: string | null;
  readonly graceMs: number;
}

export interface CancelResult {
  /** Active where its worker cannot be reached from here (another PID namespace), or cannot record the end. */
  readonly job: Job;
  /** Processes of the job that are alive all the same. */
  readonly survivors: Orphans;
}

/** How much longer than the grace a worker that is well needs to answer, in ms. Then we do its work. */
const WORKER_PATIENCE_MS = 10_000;

/** For a worker that goes on after having been stopped, in ms. */
const LAST_WORD_MS = 3_000;

/** Throws `not-found`, and `conflict` where the job is not active and has no process left. */
export async function cancelJob(
  context: Context,
  selector: JobSelector,
  order: CancelOrder,
): Promise<CancelResult> {
  const { store, job } = await findJob(context, selector);
  const ended = isActive(job.status) ? await endActive(context, store, job, order) : job;
  // Its worker was dead, or died while it was asked; or could not end all of it.
  if (ended === job || ended.status === "LOST") {
    if (hasOrphans(new OrphanFinder(context).find(ended))) await endOrphans(context, ended, order);
    else if (ended === job && !isActive(job.status)) throw notActive(job);
  }
  // Where we have done the worker's work, this is the rest of it.
  if (isHookDue(ended)) await (await import("../hooks/catch-up.ts")).catchUpHooks(context, [ended]);
  const last = (await store.find(ended.jobId)) ?? ended;
  return { job: last, survivors: await findSurvivors(context, store, last) };
}

function endOrphans(context: Context, job: Job, { graceMs }: CancelOrder): Promise<readonly ProcessStat[]> {
  return endAll(new JobHunt(context, job, callerProcesses(process.pid)), new Deadline(graceMs));
}

async function findSurvivors(context: Context, store: JobStore, job: Job): Promise<Orphans> {
  const company = callerProcesses(process.pid);
  const survivors = isActive(job.status)
    ? new OrphanFinder(context, company).ofActive(job)
    : await findOrphans(context, store, job, company);
  if (!hasOrphans(survivors) && !isActive(job.status) && job.status !== "LOST" && mayHoldKey(job)) {
    try {
      await store.recordLeft(job.jobId, [], null);
    } catch (error) {
      // The next who asks looks again.
      if (!(error instanceof OrchesjobError)) throw error;
      debug?.note("cannot record that no process is left", error);
    }
  }
  return survivors;
}

async function endActive(context: Context, store: JobStore, job: Job, order: CancelOrder): Promise<Job> {
  // A process number means something in one namespace only.
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
      : "wrote down the wish to cancel; nobody reads the lock file",
  );
  const busyTimeoutMs = isReached ? order.graceMs + WORKER_PATIENCE_MS : 0;
  const asked = await waitForJob(context, store, requested, isFinished, busyTimeoutMs);
  return isFinished(asked) ? asked : cancelInstead(context, store, asked, order, isReached);
}

/** Nothing can be written (the disk is full): the processes are ended all the same, and the worker tells of that when it can. */
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
    `cannot record that job ${job.jobId} is cancelled: ${error.message}; ${done}, and its worker will record how the command ended as soon as it can`,
  );
}

/**
 * The worker lives, but does not answer (it was stopped, its lock file was deleted, it is a Python one): its work is done
 * for it. It is held meanwhile, so that it cannot launch the command behind our back, nor tell another end.
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
  const keeper = isPython ? findWorker(job.jobId) : (worker ?? undefined);
  if (keeper !== undefined && target !== null && !lives(target)) {
    // The command has ended by itself, and only the worker knows how: let it say so.
    signalProcess(keeper, SIGCONT);
    const recorded = await waitForJob(context, store, job, isFinished, LAST_WORD_MS);
    if (isFinished(recorded)) return recorded;
  }
  // It has done all that we could do, and cannot write it down. Without it nobody would ever.
  if (isReached && keeper !== undefined && job.token !== null && isWell(context, job, keeper)) return job;
  debug?.note("the worker does not answer: stops it, and ends the job in its place");
  if (keeper !== undefined) signalProcess(keeper, SIGSTOP);
  let isOver = false;
  try {
    const hunt = new StandInHunt(context, job, callerProcesses(process.pid), keeper);
    const left = await endAll(hunt, new Deadline(order.graceMs));
    const end = target !== null && keeper !== undefined ? readEnd(target.pid, keeper) : undefined;
    const outcome = end === undefined ? UNKNOWN : toOutcome(end);
    const leftBehind = left.map(({ pid }) => identify(pid));
    const cancelled = await store.finish(job.jobId, "cancel", outcome, null, now(), leftBehind);
    isOver = !isPython && (cancelled !== undefined || target === null);
    if (cancelled === undefined) return (await store.find(job.jobId)) ?? job;
    removeFile(lockFilePath(context.home, job.jobId));
    return cancelled;
  } finally {
    // A Python worker's last word is not heard any more: see jobs_python_final. One of ours whose job's end we could not record
    // tells of it itself.
    if (keeper !== undefined) signalProcess(keeper, isOver ? SIGKILL : SIGCONT);
  }
}

/** Whether a worker goes its way: it is not stopped, and nothing of the job is left that it could have ended. */
function isWell(context: Context, job: Job, keeper: ProcessIdentity): boolean {
  if (/[Tt]/.test(readProcess(keeper.pid)?.state ?? "")) return false;
  const { seen } = findProcesses(context, job, {
    excludedPids: callerProcesses(process.pid),
    trustSession: false,
  });
  return !seen.some(({ pid, state }) => state !== "D" && maySignal(pid));
}

/** Looks from outside, while the job's worker is held. */
class StandInHunt extends JobHunt {
  constructor(
    context: Context,
    job: Job,
    excludedPids: ReadonlySet<number>,
    readonly keeper: ProcessIdentity | undefined,
  ) {
    super(context, job, excludedPids);
  }

  override look(): readonly ProcessStat[] {
    const seen = super.look();
    // Of a Python worker's command no row tells more than the number.
    return seen.length > 0 ? seen : (this.#children() ?? []);
  }

  override missed(): readonly ProcessStat[] {
    // Those become children of a worker of ours that lose their parents: without any there is nobody.
    if (this.job.origin !== null && this.#children() !== undefined) return [];
    return super.missed();
  }

  #children(): readonly ProcessStat[] | undefined {
    const { keeper } = this;
    // Somebody else may have its number by now.
    return keeper !== undefined && lives(keeper)
      ? findChildren(this.context, this.job, keeper.pid)
      : undefined;
  }
}

function notActive(job: Job): OrchesjobError {
  return new OrchesjobError("conflict", `cannot cancel job ${job.jobId}: it is ${job.status} already`);
}
