/** The worker: the one process that executes a job's command. It owns the job from the claim to the result. */
import { formatExactly } from "../job/duration.ts";
import type { CancelRequest, Instant, Job, Outcome, ProcessIdentity } from "../job/job.ts";
import { scopeName } from "../job/scope.ts";
import { isActive } from "../job/status.ts";
import { onExit, reap } from "../linux/children.ts";
import { after, now } from "../linux/clock.ts";
import { isInUnit, readMemoryKills } from "../linux/control-group.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import { becomeLastToKill, becomeOrdinary } from "../linux/oom-score.ts";
import { identify } from "../linux/pidfd.ts";
import { readIdentity, releaseMemory } from "../linux/self.ts";
import { DEFAULT_GRACE_MS } from "../processes/terminate.ts";
import type { Context } from "../state/context.ts";
import { announceRunning, markClaimed } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import { Ledger } from "../state/retrying-store.ts";
import type { Settle } from "./adopt.ts";
import { launch, LaunchError } from "./launch.ts";
import { toOutcome, UNKNOWN } from "./outcome.ts";
import type { PipedOutput } from "./output.ts";
import { SignalRelay } from "./signal-relay.ts";
import { becomeWorker, waitForRelease, WORKER_DIRECTORY_FD, WORKER_LOCK_FD } from "./spawn.ts";
import { Stopper } from "./stopper.ts";
import type { TargetSettings } from "./target.ts";
import { Pokes } from "./wake-ups.ts";

export interface WorkerRequest {
  readonly jobId: string;
  readonly settings: TargetSettings;
  /** The job as `status` prints it, for its hook. */
  readonly describe: (job: Job) => string;
  readonly settle: Settle;
}

/** How long a worker tries to record that it begins, in ms. Then it ends without having run anything, and the key is free. */
const CLAIM_PATIENCE_MS = 120_000;

/** A command that has not ended by then takes long: from there on the worker only waits, in as little memory as it can. */
const SETTLED_MS = 1_000;

export async function runWorker(
  context: Context,
  { jobId, settings, describe, settle }: WorkerRequest,
): Promise<void> {
  becomeWorker();
  const signals = new SignalRelay();
  const pokes = new Pokes();
  const ledger = new Ledger(context);
  waitForRelease();
  const worker = readIdentity(process.pid);
  // The launcher may have died before it knew whether we are there; the kernel knows.
  const unit = isInUnit("self", scopeName(jobId)) ? scopeName(jobId) : null;
  let attempts = 0;
  // Law 2: without the claim nothing is executed.
  const job = await ledger.write(async (store) => {
    attempts += 1;
    // Where writing fails it may have failed for the launcher, too: without a job there is nothing to wait for.
    if (attempts > 1 && (await store.find(jobId)) === undefined) return undefined;
    return store.run(jobId, worker, { origin: context.origin, unit }, now());
  }, CLAIM_PATIENCE_MS);
  if (job !== undefined) markClaimed(WORKER_LOCK_FD);
  let hookLock: number | undefined;
  let aftermath: Aftermath | undefined;
  const piped =
    job?.output === "pipe" ? new (await import("./output.ts")).PipedOutput(context.home, jobId) : undefined;
  if (job !== undefined) {
    const memory = { job };
    const ending = await execute({
      context,
      ledger,
      signals,
      pokes,
      memory,
      settings,
      piped,
      settle,
    });
    // Held before anybody can know that the hook is due: nobody else starts it then.
    if (job.onExit !== null) hookLock = (await import("../hooks/runner.ts")).takeHookLock(context, jobId);
    const { event, outcome, target, endedAt, leftBehind } = ending;
    const recorded = await ledger.write((store) =>
      store.finish(jobId, event, outcome, target, endedAt, leftBehind),
    );
    if (recorded === undefined) {
      const { finishForgotten } = await import("./adopt.ts");
      await ledger.write((store) => finishForgotten(store, memory.job, ending));
    }
    aftermath = ending.aftermath;
  }
  removeFile(lockFilePath(context.home, jobId));
  closeFile(WORKER_LOCK_FD);
  // Only now: those who waited for the job know its end already, and its key is free.
  if (hookLock !== undefined) {
    const { fileLimit, directory = WORKER_DIRECTORY_FD } = settings;
    const { runHook } = await import("../hooks/run.ts");
    // There is nothing to tell any more, and the hook would inherit it.
    becomeOrdinary();
    await runHook({ context, ledger, describe, settings: { fileLimit, directory } }, jobId, hookLock);
  }
  if (aftermath !== undefined) {
    ledger.rest();
    releaseMemory();
    await aftermath();
    await ledger.write((store) => store.recordLeft(jobId, [], null));
  }
  await ledger.tidy();
  if (piped !== undefined) await copyForDaemons(piped);
}

/** What a command has left behind may go on writing, and is our child once its parent is gone. */
async function copyForDaemons(piped: PipedOutput): Promise<void> {
  process.on("SIGCHLD", reap);
  reap();
  releaseMemory();
  await piped.outlast();
}

/** Returns when no process of a job lives that had to be left. */
type Aftermath = () => Promise<void>;

interface Execution {
  readonly context: Context;
  readonly ledger: Ledger;
  readonly signals: SignalRelay;
  readonly pokes: Pokes;
  /** The job as it was last known, should the store forget it. */
  readonly memory: { job: Job };
  readonly settings: TargetSettings;
  readonly piped: PipedOutput | undefined;
  readonly settle: Settle;
}

interface Ending {
  readonly event: "succeed" | "fail" | "cancel";
  readonly outcome: Outcome;
  readonly target: ProcessIdentity | null;
  readonly endedAt: Instant;
  /** Where the job was ended before its time: what lives of it all the same. Otherwise nobody asks. */
  readonly leftBehind: readonly ProcessIdentity[] | null;
  /** Where somebody is left. */
  readonly aftermath?: Aftermath | undefined;
}

async function execute({
  context,
  ledger,
  signals,
  pokes,
  memory,
  settings,
  piped,
  settle: settleOther,
}: Execution): Promise<Ending> {
  const { job } = memory;
  if (job.cancelRequest !== null) {
    return { event: "cancel", outcome: UNKNOWN, target: null, endedAt: now(), leftBehind: [] };
  }
  const killsBefore = job.unit === null ? undefined : readMemoryKills(job.unit);
  let pid: number;
  try {
    pid = launch(context, job, settings, piped);
  } catch (error) {
    const failed = error instanceof LaunchError ? error : new LaunchError(String(error));
    return { event: "fail", outcome: failed.outcome, target: null, endedAt: now(), leftBehind: null };
  }
  signals.relayTo(pid);
  piped?.begin();
  // Only now, because the command would inherit it. What kills it for want of memory must leave somebody to tell.
  if (job.unit !== null) becomeLastToKill();
  const target = identify(pid);
  memory.job = { ...job, target };
  let end: { readonly outcome: Outcome; readonly endedAt: Instant } | undefined;
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  onExit(pid, (status) => {
    end = { outcome: toOutcome(status), endedAt: now() };
    signals.end();
    resolve();
  });
  const stopper = new Stopper(context, { ...job, target }, () => end !== undefined);
  if (job.timeoutMs !== null) after(job.timeoutMs, () => stopper.stop("timeout", DEFAULT_GRACE_MS));

  // An older backup may have been put in the place of the database in which the job was accepted.
  const recall = async () => {
    const { findOrAdopt } = await import("./adopt.ts");
    return ledger.write((store) => findOrAdopt(context, store, memory.job, settleOther));
  };
  void ledger
    .write((store) => store.recordTarget(job.jobId, target, now()))
    .then(async (isKnown) => {
      if (isKnown === false && end === undefined) await recall();
      if (end === undefined) announceRunning(WORKER_LOCK_FD);
    });
  let isSettled = false;
  const settle = () => {
    isSettled = true;
    ledger.rest();
    releaseMemory();
  };
  pokes.hear(async () => {
    let found = await ledger.write((store) => store.find(job.jobId));
    if (end === undefined && (found === undefined || found.status === "STARTING")) found = await recall();
    if (found !== undefined && isActive(found.status)) memory.job = { ...found, target };
    if (found?.cancelRequest != null) stopper.cancel(found.cancelRequest);
    else if (isSettled && end === undefined) settle();
  });

  const settling = setTimeout(settle, SETTLED_MS);
  await Promise.race([ended, stopper.gaveUp]);
  clearTimeout(settling);
  if (end !== undefined && !stopper.hasBegun) {
    const unheard = await findUnheardCancel(ledger, job, end.outcome);
    if (unheard !== undefined) stopper.cancel(unheard, true);
  }
  const stopped = await stopper.finished();
  piped?.drain();
  // How a command ended that lives on is for the aftermath to tell.
  const { outcome, endedAt } = end ?? { outcome: UNKNOWN, endedAt: now() };
  if (stopped === undefined) {
    const ending = { target, endedAt, leftBehind: null } as const;
    if (outcome.exitCode === 0) return { event: "succeed", outcome, ...ending };
    return { event: "fail", outcome: { ...outcome, ...findMemoryKill(job, killsBefore) }, ...ending };
  }
  const { reason, leftBehind, hunt, killAt } = stopped;
  const noted =
    end === undefined &&
    ended.then(() => ledger.write((store) => store.recordLeft(job.jobId, leftBehind, end!.outcome)));
  const aftermath = async () => {
    const { outlast } = await import("./aftermath.ts");
    await outlast(hunt, job, killAt);
    await noted;
  };
  const ending = { target, endedAt, leftBehind, aftermath: leftBehind.length > 0 ? aftermath : undefined };
  if (reason === "cancel") return { event: "cancel", outcome, ...ending };
  const error = `timed out after ${formatExactly(job.timeoutMs ?? 0)}`;
  return { event: "fail", outcome: { ...outcome, error, failure: "timed_out" }, ...ending };
}

/** What a failed command may owe to the memory limit of its scope; nothing where none of the job's processes was killed for it. */
function findMemoryKill(job: Job, killsBefore: number | undefined): Partial<Outcome> {
  if (job.unit === null || killsBefore === undefined) return {};
  const kills = (readMemoryKills(job.unit) ?? 0) - killsBefore;
  if (kills <= 0) return {};
  const limits = job.properties.filter((property) => property.startsWith("Memory"));
  const limit = limits.length === 0 ? "" : ` (${limits.join(", ")})`;
  const killed = kills === 1 ? "a process" : `${kills} processes`;
  return {
    error: `out of memory${limit}: the kernel has killed ${killed} of the job`,
    failure: "out_of_memory",
  };
}

/** Where somebody deleted the lock file no poke reaches us, and who asked for the end has brought it about himself. */
async function findUnheardCancel(
  ledger: Ledger,
  job: Job,
  outcome: Outcome,
): Promise<CancelRequest | undefined> {
  if (outcome.signal === null) return undefined;
  const { cancelRequest } = (await ledger.write((store) => store.find(job.jobId))) ?? job;
  return cancelRequest ?? undefined;
}
