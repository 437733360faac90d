/** The worker: the one process that executes a job's command. It owns the job from the claim to the result. */
import type { Job } from "../job/job.ts";
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
import { RetryingStore } from "../state/retrying-store.ts";
import type { Settle } from "./adopt.ts";
import { type Aftermath, execute } from "./execute.ts";
import type { PipedOutput } from "./output.ts";
import { SignalRelay } from "./signal-relay.ts";
import { becomeWorker, waitForRelease, WORKER_DIRECTORY_FD, WORKER_LOCK_FD } from "./spawn.ts";
import type { TargetSettings } from "./target.ts";
import { WakeUps } from "./wake-ups.ts";

export interface WorkerRequest {
  readonly jobId: string;
  readonly settings: TargetSettings;
  /** The job as `status` prints it, for its hook. */
  readonly describe: (job: Job) => string;
  readonly settle: Settle;
}

/** How long a worker tries to record its claim, in ms. Then it ends without having run anything, and the key is free. */
const CLAIM_TIMEOUT_MS = 120_000;

export async function runWorker(
  context: Context,
  { jobId, settings, describe, settle }: WorkerRequest,
): Promise<void> {
  becomeWorker();
  const wakeUps = new WakeUps();
  const retryingStore = new RetryingStore(context);
  // Signals are blocked until then: the launcher finds out which of them were not meant for us.
  const signals = new SignalRelay(waitForRelease());
  debug?.note("was released");
  const worker = readIdentity(process.pid);
  // Ask the kernel: the launcher may have died before it knew whether the move into the scope worked.
  const unit = isInUnit("self", scopeName(jobId)) ? scopeName(jobId) : null;
  let attempts = 0;
  // Without the claim the worker executes nothing, so that no command runs twice.
  const job = await retryingStore.write(async (store) => {
    attempts += 1;
    // If writing fails, it may have failed for the launcher, too: without a job there is nothing to wait for.
    if (attempts > 1 && (await store.find(jobId)) === undefined) return undefined;
    return store.run(jobId, worker, { origin: context.origin, unit }, now());
  }, CLAIM_TIMEOUT_MS);
  if (job !== undefined) markClaimed(WORKER_LOCK_FD);
  debug?.note(
    job === undefined
      ? "executes nothing: the job was not accepted, or is claimed already"
      : "claimed the job",
  );
  let hookLock: number | undefined;
  let aftermath: Aftermath | undefined;
  let stallHook: Promise<void> | undefined;
  const piped =
    job?.output === "pipe" ? new (await import("./output.ts")).PipedOutput(context.home, jobId) : undefined;
  if (job !== undefined) {
    const memory = { job };
    const ending = await execute({
      context,
      retryingStore,
      signals,
      wakeUps,
      memory,
      settings,
      piped,
      describe,
      settle,
    });
    // Take the lock before anybody can see that the hook is due: then nobody else starts it.
    if (job.onExit !== null || (job.onFailure !== null && ending.event !== "succeed"))
      hookLock = (await import("../hooks/runner.ts")).takeHookLock(context, jobId);
    const { event, outcome, target, endedAt, leftBehind } = ending;
    const recorded = await retryingStore.write((store) =>
      store.finish(jobId, event, outcome, target, endedAt, leftBehind),
    );
    if (recorded !== undefined) debug?.note(`recorded ${EVENTS[event].to}`);
    else {
      debug?.note("the result was refused: the job is not known, or has an end already; looks");
      const { finishUnknown } = await import("./adopt.ts");
      await retryingStore.write((store) => finishUnknown(store, memory.job, ending));
    }
    aftermath = ending.aftermath;
    stallHook = ending.stallHook;
  }
  removeFile(lockFilePath(context.home, jobId));
  closeFile(WORKER_LOCK_FD);
  debug?.note("gave the lock back");
  // The hook comes last: those who wait for the job know its end by now, and its key is free.
  if (hookLock !== undefined) {
    const { fileLimit, directory = WORKER_DIRECTORY_FD } = settings;
    const { runHooks } = await import("../hooks/run.ts");
    // The result is recorded, and the hook would inherit the score.
    becomeOrdinary();
    await runHooks({ context, retryingStore, describe, settings: { fileLimit, directory } }, jobId, hookLock);
  }
  await stallHook;
  if (aftermath !== undefined) {
    debug?.note("stays until no process of the job lives");
    retryingStore.disconnect();
    releaseMemory();
    await aftermath();
    await retryingStore.write((store) => store.recordLeft(jobId, [], null));
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
