/** The worker: the one process that executes a job's command. It owns the job from the claim to the result. */
import type { Job } from "../job/job.ts";
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
import { type Aftermath, type Ending, execute } from "./execute.ts";
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

export async function runWorker(
  context: Context,
  { jobId, settings, describe, settle, retry }: WorkerRequest,
): Promise<void> {
  becomeWorker();
  const wakeUps = new WakeUps();
  const retryingStore = new RetryingStore(context);
  // Signals are blocked until then: the launcher finds out which of them were not meant for us.
  const signals = new SignalRelay(retry === undefined ? waitForRelease() : []);
  debug?.note("was released");
  const worker = readIdentity(process.pid);
  // Ask the kernel: the launcher may have died before it knew whether the move into the scope worked.
  const scope = retry?.unit ?? scopeName(jobId);
  const unit = isInUnit("self", scope) ? scope : null;
  // A retry waits for its time before it claims its job. After a signal it launches nothing any more.
  const unlaunched =
    retry &&
    (await (
      await import("./turn.ts")
    ).awaitTurn({ ...retry, context, retryingStore, jobId, signals, wakeUps, settle }));
  let attempts = 0;
  // Without the claim the worker executes nothing, so that no command runs twice.
  const job = await retryingStore.write(async (store) => {
    attempts += 1;
    // If writing fails, it may have failed for the launcher, too: without a job there is nothing to wait for.
    if (attempts > 1 && (await store.find(jobId)) === undefined) return undefined;
    const at = now();
    return store.run(
      jobId,
      worker,
      { origin: context.origin, unit },
      at,
      unlaunched === undefined ? at : null,
    );
  }, CLAIM_TIMEOUT_MS);
  if (job !== undefined) markClaimed(WORKER_LOCK_FD);
  debug?.note(
    job === undefined
      ? "executes nothing: the job was not accepted, or is claimed already"
      : "claimed the job",
  );
  let hookLock: number | undefined;
  let last = job;
  let aftermath: Aftermath | undefined;
  let stallHook: Promise<void> | undefined;
  const piped =
    job?.output === "pipe"
      ? new (await import("./output.ts")).PipedOutput(context.home, jobId, job.limits.maxLogBytes)
      : undefined;
  if (job !== undefined) {
    const memory = { job };
    let ending: Ending =
      unlaunched === undefined || job.cancelRequest !== null
        ? await execute({
            context,
            retryingStore,
            signals,
            wakeUps,
            memory,
            settings,
            piped,
            describe,
            settle,
          })
        : { event: "fail", outcome: unlaunched, target: null, endedAt: now(), leftBehind: null };
    last = memory.job;
    if (ending.event === "fail" && isToBeRetried(last, ending.outcome)) {
      const { tryAgain } = await import("./retry.ts");
      const attempt = { context, retryingStore, wakeUps, signals, settings, settle, piped, unit };
      ({ job: last, ending } = await tryAgain(attempt, last, ending));
    }
    // Take the lock before anybody can see that the hook is due: then nobody else starts it.
    if (last.onExit !== null || (last.onFailure !== null && ending.event !== "succeed"))
      hookLock = (await import("../hooks/runner.ts")).takeHookLock(context, last.jobId);
    const { event, outcome, target, endedAt, leftBehind } = ending;
    const { jobId: lastJobId } = last;
    const recorded = await retryingStore.write((store) =>
      store.finish(lastJobId, event, outcome, target, endedAt, leftBehind),
    );
    if (recorded !== undefined) debug?.note(`recorded ${EVENTS[event].to}`);
    else {
      debug?.note("the result was refused: the job is not known, or has an end already; looks");
      const { finishUnknown } = await import("./adopt.ts");
      await retryingStore.write((store) => finishUnknown(store, last!, ending));
    }
    aftermath = ending.aftermath;
    stallHook = ending.stallHook;
  }
  const { jobId: lastJobId } = last ?? { jobId };
  removeFile(lockFilePath(context.home, lastJobId));
  closeFile(WORKER_LOCK_FD);
  debug?.note("gave the lock back");
  // The hook comes last: those who wait for the job know its end by now, and its key is free.
  if (hookLock !== undefined) {
    const { fileLimit, directory = WORKER_DIRECTORY_FD } = settings;
    const { runHooks } = await import("../hooks/run.ts");
    // The result is recorded, and the hook would inherit the score.
    becomeOrdinary();
    const stage = { context, retryingStore, describe, settings: { fileLimit, directory } };
    await runHooks(stage, lastJobId, hookLock);
  }
  await stallHook;
  if (aftermath !== undefined) {
    debug?.note("stays until no process of the job lives");
    retryingStore.disconnect();
    releaseMemory();
    await aftermath();
    await retryingStore.write((store) => store.recordLeft(lastJobId, [], null));
  }
  await retryingStore.checkpoint();
  if (piped !== undefined) await copyForDaemons(piped);
}

/** Copies the output of processes that the command left behind. They become our children when their parents end. */
async function copyForDaemons(piped: PipedOutput): Promise<void> {
  debug?.note("copies output until nobody has it open any more");
  process.on("SIGCHLD", reap);
  reap();
  releaseMemory();
  await piped.outlast();
}
