/** The worker: the one process that executes a job's command. It owns the job from the claim to the result. */
import type { Job, Outcome } from "../job/job.ts";
import { isToBeRetried } from "../job/retry.ts";
import { scopeName } from "../job/scope.ts";
import { EVENTS } from "../job/status.ts";
import { reap } from "../linux/children.ts";
import { now } from "../linux/clock.ts";
import { isInUnit } from "../linux/control-group.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import { becomeOrdinary } from "../linux/oom-score.ts";
import { readIdentity, releaseMemory } from "../linux/self.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { markClaimed } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { LastOutput } from "../state/last-output.ts";
import { RetryingStore } from "../state/retrying-store.ts";
import type { Settle } from "./adopt.ts";
import { type Ending, execute } from "./execute.ts";
import type { PipedOutput } from "./output.ts";
import { SignalRelay } from "./signal-relay.ts";
import { becomeWorker, waitForRelease, WORKER_DIRECTORY_FD, WORKER_LOCK_FD } from "./spawn.ts";
import type { TargetSettings } from "./target.ts";
import { WakeUps } from "./wake-ups.ts";

export interface WorkerRequest {
  readonly jobId: string;
  readonly settings: TargetSettings;
  /** The job as `status` prints it, for its hook. */
  readonly describe: (job: Job, last?: LastOutput) => string;
  readonly settle: Settle;
  /** Set if this process has become the worker of another attempt: see retry.ts. */
  readonly retry: Retry | undefined;
}

interface Retry {
  /** When the attempt may begin, on the clock of bootTimeMs. */
  readonly notBefore: number;
  /** The scope of the first attempt; null: it has none. */
  readonly unit: string | null;
}

/** How long a worker tries to record its claim, in ms. Then it ends without having run anything, and the key is free. */
const CLAIM_TIMEOUT_MS = 120_000;

/** What the steps of a worker share. */
interface Worker extends WorkerRequest {
  readonly context: Context;
  readonly retryingStore: RetryingStore;
  readonly signals: SignalRelay;
  readonly wakeUps: WakeUps;
  /** The scope that the worker is in. */
  readonly unit: string | null;
}

/** The last attempt, and how it has ended. */
interface Last {
  readonly job: Job;
  readonly ending: Ending;
}

export async function runWorker(context: Context, request: WorkerRequest): Promise<void> {
  const worker = prepareWorker(context, request);
  const unlaunched = await awaitTurn(worker);
  // Without the claim the worker executes nothing, so that no command runs twice.
  const job = await claimJob(worker, unlaunched === undefined);
  if (job === undefined) {
    giveLockBack(context, request.jobId);
    return worker.retryingStore.checkpoint();
  }
  const piped = await openOutput(context, job);
  const last = await executeAttempts(worker, job, piped, unlaunched);
  // Take the lock before anybody can see that the hook is due: then nobody else starts it.
  const hookLock = await takeHookLock(context, last);
  await recordEnd(worker, last);
  giveLockBack(context, last.job.jobId);
  // The hook comes last: those who wait for the job know its end by now, and its key is free.
  if (hookLock !== undefined) await runHooks(worker, last.job, hookLock);
  await last.ending.stallHook;
  await outlastSurvivors(worker, last);
  await worker.retryingStore.checkpoint();
  if (piped !== undefined) await copyForDaemons(piped);
}

function prepareWorker(context: Context, request: WorkerRequest): Worker {
  becomeWorker();
  const wakeUps = new WakeUps();
  const retryingStore = new RetryingStore(context);
  const { retry, jobId } = request;
  // Signals are blocked until then: the launcher finds out which of them were not meant for us.
  const signals = new SignalRelay(retry === undefined ? waitForRelease() : []);
  debug?.note("was released");
  // Ask the kernel: the launcher may have died before it knew whether the move into the scope worked.
  const scope = retry?.unit ?? scopeName(jobId);
  const unit = isInUnit("self", scope) ? scope : null;
  return { ...request, context, retryingStore, signals, wakeUps, unit };
}

/** A retry waits for its time before it claims its job. Returns the outcome of one that is not to be launched any more. */
async function awaitTurn({ retry, ...worker }: Worker): Promise<Outcome | undefined> {
  return retry && (await import("./turn.ts")).awaitTurn({ ...worker, ...retry });
}

/** Undefined if the job was not accepted, or somebody has claimed it. */
async function claimJob(
  { context, retryingStore, jobId, unit }: Worker,
  isToBeLaunched: boolean,
): Promise<Job | undefined> {
  const identity = readIdentity(process.pid);
  let tries = 0;
  const job = await retryingStore.write(async (store) => {
    tries += 1;
    // If writing fails, it may have failed for the launcher, too: without a job there is nothing to wait for.
    if (tries > 1 && (await store.find(jobId)) === undefined) return undefined;
    const at = now();
    return store.run(jobId, identity, { origin: context.origin, unit }, at, isToBeLaunched ? at : null);
  }, CLAIM_TIMEOUT_MS);
  if (job === undefined) debug?.note("executes nothing: the job was not accepted, or is claimed already");
  else {
    markClaimed(WORKER_LOCK_FD);
    debug?.note("claimed the job");
  }
  return job;
}

async function openOutput(
  { home }: Context,
  { jobId, output, limits }: Job,
): Promise<PipedOutput | undefined> {
  if (output !== "pipe") return undefined;
  return new (await import("./output.ts")).PipedOutput(home, jobId, limits.maxLogBytes);
}

/** Does not return if another attempt follows: this process goes on as its worker. */
async function executeAttempts(
  worker: Worker,
  job: Job,
  piped: PipedOutput | undefined,
  unlaunched: Outcome | undefined,
): Promise<Last> {
  const memory = { job };
  const ending: Ending =
    unlaunched === undefined || job.cancelRequest !== null
      ? await execute({ ...worker, memory, piped })
      : { event: "fail", outcome: unlaunched, target: null, endedAt: now(), leftBehind: null };
  const last = { job: memory.job, ending };
  if (ending.event !== "fail" || !isToBeRetried(last.job, ending.outcome)) return last;
  const { tryAgain } = await import("./retry.ts");
  return tryAgain({ ...worker, piped }, last.job, ending);
}

/** Undefined if no hook is due. */
async function takeHookLock(context: Context, { job, ending }: Last): Promise<number | undefined> {
  if (job.onExit === null && (job.onFailure === null || ending.event === "succeed")) return undefined;
  return (await import("../hooks/runner.ts")).takeHookLock(context, job.jobId);
}

async function recordEnd({ retryingStore }: Worker, { job, ending }: Last): Promise<void> {
  const { event, outcome, target, endedAt, leftBehind } = ending;
  const recorded = await retryingStore.write((store) =>
    store.finish(job.jobId, event, outcome, target, endedAt, leftBehind),
  );
  if (recorded !== undefined) return debug?.note(`recorded ${EVENTS[event].to}`);
  debug?.note("the result was refused: the job is not known, or has an end already; looks");
  const { finishUnknown } = await import("./adopt.ts");
  await retryingStore.write((store) => finishUnknown(store, job, ending));
}

function giveLockBack({ home }: Context, jobId: string): void {
  removeFile(lockFilePath(home, jobId));
  closeFile(WORKER_LOCK_FD);
  debug?.note("gave the lock back");
}

async function runHooks(worker: Worker, { jobId }: Job, hookLock: number): Promise<void> {
  const { fileLimit, directory = WORKER_DIRECTORY_FD } = worker.settings;
  const { runHooks: run } = await import("../hooks/run.ts");
  // The result is recorded, and the hook would inherit the score.
  becomeOrdinary();
  await run({ ...worker, settings: { fileLimit, directory } }, jobId, hookLock);
}

/** Stays until no process of a job lives that was ended early, if there are any. */
async function outlastSurvivors({ retryingStore }: Worker, { job, ending }: Last): Promise<void> {
  if (ending.aftermath === undefined) return;
  debug?.note("stays until no process of the job lives");
  retryingStore.disconnect();
  releaseMemory();
  await ending.aftermath();
  await retryingStore.write((store) => store.recordLeft(job.jobId, [], null));
}

/** Copies the output of processes that the command left behind. They become our children when their parents end. */
async function copyForDaemons(piped: PipedOutput): Promise<void> {
  debug?.note("copies output until nobody has it open any more");
  process.on("SIGCHLD", reap);
  reap();
  releaseMemory();
  await piped.outlast();
}
