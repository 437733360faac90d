/** Who is the command of a unit, or of a container, which ends with it: what is done so that the job comes to its end first. */
import type { Job, ProcessIdentity } from "../job/job.ts";
import { isInUnit, readControlGroup, unitOf } from "../linux/control-group.ts";
import { probeLock } from "../linux/file-lock.ts";
import { signalProcess } from "../linux/pidfd.ts";
import { isLiving, readProcess } from "../linux/self.ts";
import type { Context } from "../state/context.ts";
import { hookFiles } from "../state/paths.ts";

/**
 * A signal to a container's command is meant for the job, if that is in there: all in it end with that command, without a
 * word. Returns whether it is; the signal has been passed on then.
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
 * Waits until the worker of a job that has ended has nothing more to do for it, where it ends with us: systemd kills what is
 * left of a service when its main process ends, and the kernel all that is in a container with its first process; and the
 * worker may still have the job's hook to run. `endsContainer`: a container ends with us. `shouldStop`: leave it to them, and the hook to whoever looks at the job next.
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
  // Who copies for daemons, or watches over what it could not end, stays longer than for its job.
  const staysLonger = output === "pipe" || (leftBehind?.length ?? 0) > 0;
  const runsHook = () => probeLock(hookFiles(context.home, jobId).lock) === "held";
  let pause = FIRST_LOOK_MS;
  while (lives() && (!staysLonger || runsHook()) && !shouldStop()) {
    await Bun.sleep(pause);
    pause = Math.min(pause * 2, LONGEST_LOOK_MS);
  }
}

/** Whether a worker lives, in this unit of systemd's. */
export function isWorkerInUnit(worker: ProcessIdentity, unit: string): boolean {
  return isLivingWorker(worker) && isInUnit(worker.pid, unit);
}

function isLivingWorker({ pid, startTicks }: ProcessIdentity): boolean {
  const holder = readProcess(pid);
  return isLiving(holder) && holder.startTicks === startTicks;
}
