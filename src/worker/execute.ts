/** Executes a job's command, from the launch to its end, and finds out what ended it. */
import type { CancelRequest, Instant, Job, Outcome, ProcessIdentity } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { withoutInherited } from "../job/usage.ts";
import { onExit } from "../linux/children.ts";
import { after, now } from "../linux/clock.ts";
import { readMemoryKills } from "../linux/control-group.ts";
import { becomeLastToKill } from "../linux/oom-score.ts";
import { identify } from "../linux/pidfd.ts";
import { peakMemory, releaseMemory } from "../linux/self.ts";
import { DEFAULT_GRACE_MS } from "../processes/terminate.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { announceRunning } from "../state/job-lock.ts";
import type { LastOutput } from "../state/last-output.ts";
import { RetryingStore } from "../state/retrying-store.ts";
import type { Settle } from "./adopt.ts";
import { launch, LaunchError } from "./launch.ts";
import { CANCELLED_BEFORE, describeEnd, toOutcome, UNKNOWN } from "./outcome.ts";
import type { PipedOutput } from "./output.ts";
import { SignalRelay } from "./signal-relay.ts";
import { WORKER_LOCK_FD } from "./spawn.ts";
import { explainStop } from "./stop-reason.ts";
import { Stopper } from "./stopper.ts";
import type { TargetSettings } from "./target.ts";
import { WakeUps } from "./wake-ups.ts";

/**
 * A command that runs longer than this (ms) is a long one: from then on the worker only waits, in as little memory as it can.
 */
const SETTLED_MS = 1_000;

/**
 * Resolves when no survivor of the job lives any more, to how the command ended, if that is known. Until the end of the job is
 * recorded (`isRecorded`), it does nothing that ends the worker, too.
 */
export type Aftermath = (isRecorded?: boolean) => Promise<Outcome | undefined>;

interface Execution {
  readonly context: Context;
  readonly retryingStore: RetryingStore;
  readonly signals: SignalRelay;
  readonly wakeUps: WakeUps;
  /** The job as last known, in case the store does not have it any more. */
  readonly memory: { job: Job };
  readonly settings: TargetSettings;
  readonly piped: PipedOutput | undefined;
  /** The job as `status` prints it, for hooks. */
  readonly describe: (job: Job, last?: LastOutput) => string;
  readonly settle: Settle;
}

export interface Ending {
  readonly event: "succeed" | "fail" | "cancel";
  readonly outcome: Outcome;
  readonly target: ProcessIdentity | null;
  readonly endedAt: Instant;
  /** The survivors of a job that was ended early; null if the command ended by itself. */
  readonly leftBehind: readonly ProcessIdentity[] | null;
  /** Set if there are survivors. */
  readonly aftermath?: Aftermath | undefined;
  /** Resolves when the command of --on-stall has ended. */
  readonly stallHook?: Promise<void> | undefined;
}

export async function execute({
  context,
  retryingStore,
  signals,
  wakeUps,
  memory,
  settings,
  piped,
  describe,
  settle: settleOther,
}: Execution): Promise<Ending> {
  const { job } = memory;
  if (job.cancelRequest !== null) {
    debug?.note("launches nothing: the job is cancelled already");
    return { event: "cancel", outcome: CANCELLED_BEFORE, target: null, endedAt: now(), leftBehind: [] };
  }
  const killsBefore = job.unit === null ? undefined : readMemoryKills(job.unit);
  const scope = job.unit === null ? undefined : new (await import("./usage.ts")).ScopeUsage(job.unit);
  const LogLimit =
    job.limits.maxLogBytes === undefined ? undefined : (await import("./log-limit.ts")).LogLimit;
  const Stall = job.limits.stallAfterMs === undefined ? undefined : (await import("./stall.ts")).Stall;
  let pid: number;
  try {
    pid = await launch(context, job, settings, piped);
  } catch (error) {
    const failed = error instanceof LaunchError ? error : new LaunchError(String(error));
    return { event: "fail", outcome: failed.outcome, target: null, endedAt: now(), leftBehind: null };
  }
  const inherited = peakMemory();
  signals.relayTo(pid);
  // After the launch, because the command would inherit the score. The OOM killer must spare the worker, which records what
  // happened.
  if (job.unit !== null) becomeLastToKill();
  const target = identify(pid);
  memory.job = { ...job, target };
  let end: { readonly outcome: Outcome; readonly endedAt: Instant } | undefined;
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  onExit(pid, (status, usage) => {
    const own = withoutInherited(usage, inherited);
    end = { outcome: toOutcome(status, scope?.complete(own) ?? own), endedAt: now() };
    debug?.note(`target ${describeEnd(end.outcome)}`);
    signals.end();
    resolve();
  });
  const stopper = new Stopper(context, { ...job, target }, () => end !== undefined);
  const { graceMs = DEFAULT_GRACE_MS } = job.limits;
  if (job.timeoutMs !== null) after(job.timeoutMs, () => stopper.stop("timeout", graceMs));

  let isSettled = false;
  const settle = () => {
    isSettled = true;
    retryingStore.disconnect();
    releaseMemory();
  };
  // At once: somebody may rename the logs as soon as the job is said to run.
  const stallStage = {
    ...{ context, retryingStore, memory, settings, describe },
    catchUp: () => piped?.drain() ?? true,
    stop: () => stopper.stop("stall", graceMs),
    settle: () => isSettled && end === undefined && settle(),
  };
  const logLimit =
    LogLimit &&
    new LogLimit({
      ...{ retryingStore, memory, piped: piped!, settle: stallStage.settle },
      stop: () => stopper.stop("log-limit", graceMs),
    });
  piped?.begin();
  const stall = Stall && new Stall(stallStage, job.limits.stallAfterMs!);

  let partition = "";
  const fleet =
    job.onPartition === null
      ? undefined
      : new (await import("../fleet/watch.ts")).FleetWatch(context.home, job, (why, graceMs) => {
          if (stopper.hasBegun) return;
          partition = why;
          stopper.stop("partition", graceMs);
        });

  // Somebody may have replaced the database in which the job was accepted by an older backup.
  const recall = async () => {
    debug?.note("the database does not know that the job runs: puts the job back");
    const { findOrAdopt } = await import("./adopt.ts");
    return retryingStore.write((store) => findOrAdopt(context, store, memory.job, settleOther));
  };
  void retryingStore
    .write((store) => store.recordTarget(job.jobId, target, now()))
    .then(async (isKnown) => {
      if (isKnown === false && end === undefined) await recall();
      if (isKnown === true) debug?.note("recorded the target");
      if (end === undefined) announceRunning(WORKER_LOCK_FD);
    });
  wakeUps.hear(async () => {
    debug?.note("woken by a write to the lock file: looks into the database");
    fleet?.lookForRevocation();
    let found = await retryingStore.write((store) => store.find(job.jobId));
    if (end === undefined && (found === undefined || found.status === "STARTING")) found = await recall();
    if (found !== undefined && isActive(found.status)) memory.job = { ...found, target };
    if (found?.cancelRequest != null) stopper.cancel(found.cancelRequest);
    else if (isSettled && end === undefined) settle();
  });

  const settling = setTimeout(settle, SETTLED_MS);
  await Promise.race([ended, stopper.gaveUp]);
  clearTimeout(settling);
  if (end !== undefined && !stopper.hasBegun) {
    const unheard = await findUnheardCancel(retryingStore, job, end.outcome);
    if (unheard !== undefined) stopper.cancel(unheard, true);
  }
  const stopped = await stopper.finished();
  fleet?.end();
  if (stall && stopped === undefined) await stall.finish();
  const stallHook = stall ? stall.end() : undefined;
  piped?.conclude();
  await logLimit?.finish();
  // If the command still lives, the aftermath records how it ends.
  const { outcome, endedAt } = end ?? { outcome: UNKNOWN, endedAt: now() };
  if (stopped === undefined) {
    const ending = { target, endedAt, leftBehind: null, stallHook } as const;
    if (outcome.exitCode === 0) return { event: "succeed", outcome, ...ending };
    return { event: "fail", outcome: { ...outcome, ...findMemoryKill(job, killsBefore) }, ...ending };
  }
  const { reason, leftBehind, hunt, killAt } = stopped;
  const noted =
    end === undefined &&
    ended.then(() => retryingStore.write((store) => store.recordLeft(job.jobId, leftBehind, end!.outcome)));
  const aftermath: Aftermath = async (isRecorded = true) => {
    const { outlast } = await import("./aftermath.ts");
    await outlast(hunt, isRecorded ? job : { unit: null }, killAt);
    await noted;
    return end?.outcome;
  };
  const ending = {
    target,
    endedAt,
    leftBehind,
    aftermath: leftBehind.length > 0 ? aftermath : undefined,
    stallHook,
  };
  if (reason === "cancel") return { event: "cancel", outcome, ...ending };
  return { event: "fail", outcome: { ...outcome, ...explainStop(reason, job, partition) }, ...ending };
}

/**
 * Returns error and failure for a command that failed after the kernel killed processes of its scope for lack of memory;
 * nothing if it killed none.
 */
function findMemoryKill(job: Job, killsBefore: number | undefined): Partial<Outcome> {
  if (job.unit === null || killsBefore === undefined) return {};
  const kills = (readMemoryKills(job.unit) ?? 0) - killsBefore;
  if (kills <= 0) return {};
  const limits = job.properties.filter((property) => property.startsWith("Memory"));
  const limit = limits.length === 0 ? "" : ` (${limits.join(", ")})`;
  const killed = kills === 1 ? "a process" : `${kills} processes`;
  return {
    error: `out of memory${limit}: the kernel killed ${killed} of the job`,
    failure: "out_of_memory",
  };
}

/**
 * Finds a cancel request that could not wake us, because somebody deleted the lock file: its caller ended the command itself.
 */
async function findUnheardCancel(
  retryingStore: RetryingStore,
  job: Job,
  outcome: Outcome,
): Promise<CancelRequest | undefined> {
  if (outcome.signal === null) return undefined;
  const { cancelRequest } = (await retryingStore.write((store) => store.find(job.jobId))) ?? job;
  return cancelRequest ?? undefined;
}
