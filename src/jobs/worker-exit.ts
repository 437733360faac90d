/** For a caller with which a unit or a container ends: lets the worker finish its work before the caller exits. */
import { isSameProcess, type Job, type ProcessIdentity } from "../job/job.ts";
import { isInUnit, readControlGroup, unitOf } from "../linux/control-group.ts";
import { probeLock } from "../linux/file-lock.ts";
import { signalProcess } from "../linux/pidfd.ts";
import { isLiving, readProcess } from "../linux/self.ts";
import type { Context } from "../state/context.ts";
import { hookLock } from "../state/paths.ts";

/**
 * Passes a signal on to the worker if the job is in this container, because its processes are killed when the container's
 * command ends. Returns whether the job is in this container.
 */
export function passOnInContainer(
  context: Context,
  { worker, origin }: Job,
  isOwnJob: boolean,
  signal: number,
): boolean {
  const isInside = isOwnJob || origin?.pidNamespace === context.origin.pidNamespace;
  if (isInside && worker !== null) signalProcess(worker, signal);
  return isInside;
}

const FIRST_LOOK_MS = 2;
const LONGEST_LOOK_MS = 100;

/**
 * Waits until the worker of a finished job has exited or has only optional work left, if it would be killed when this process
 * exits: by systemd with the main process of a service, or by the kernel with the first process of a container. The worker may
 * still be running the job's hook. `endsContainer`: a container ends with this process. `shouldStop`: returns true to give up;
 * the next command that looks at the job then runs the hook.
 */
export async function awaitWorkerExit(
  context: Context,
  { jobId, worker, output, leftBehind }: Job,
  endsContainer: boolean,
  shouldStop: () => boolean,
): Promise<void> {
  const unit = unitOf(readControlGroup("self"));
  if (worker === null || !(endsContainer || unit?.endsWith(".service") === true)) return;
  const lives = () => (endsContainer ? isLivingWorker(worker) : isWorkerInUnit(worker, unit!));
  // A worker that copies output of daemons, or watches processes that it could not end, stays on: wait only for its hook.
  const staysLonger = output === "pipe" || (leftBehind?.length ?? 0) > 0;
  const runsHook = () => probeLock(hookLock(context.home, jobId)) === "held";
  let pause = FIRST_LOOK_MS;
  while (lives() && (!staysLonger || runsHook()) && !shouldStop()) {
    await Bun.sleep(pause);
    pause = Math.min(pause * 2, LONGEST_LOOK_MS);
  }
}

/** Whether a worker lives, and is in this systemd unit. */
export function isWorkerInUnit(worker: ProcessIdentity, unit: string): boolean {
  return isLivingWorker(worker) && isInUnit(worker.pid, unit);
}

function isLivingWorker(worker: ProcessIdentity): boolean {
  const holder = readProcess(worker.pid);
  return isLiving(holder) && isSameProcess(holder, worker);
}
