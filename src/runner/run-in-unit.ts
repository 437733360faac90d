/**
 * `run` as the main process of a systemd unit, or as the first process of a container. To somebody who watches a job a signal
 * means: leave, the job goes on. Here it means the job: `run` is the command, is stopped as the command, stays until it has
 * ended, and ends as it did. Loaded only there, and where a signal has come.
 */
import { OrchesjobError } from "../job/errors.ts";
import type { Job, ProcessIdentity } from "../job/job.ts";
import { isInUnit, readControlGroup, unitOf } from "../os/control-group.ts";
import { hookFiles } from "../os/home.ts";
import { probeLock } from "../os/lock.ts";
import { isFirstProcess, isLiving, readProcess } from "../os/self.ts";
import { signalProcess } from "../os/pidfd.ts";
import { PASSED_ON } from "../os/signals.ts";
import { askUnit, dieOf, type Unit } from "../os/unit.ts";
import { cancelJob } from "./cancel.ts";
import type { Context } from "./context.ts";

/**
 * What is left of the time until systemd kills everything is for a KILL of ours and for recording the result; and half of it
 * for the worker's last steps after that.
 */
const RESERVE = { share: 0.25, longestMs: 5_000 } as const;

export class RunSignals {
  #stopping: Unit | undefined;
  #killAt = Number.POSITIVE_INFINITY;
  #leaveAt = Number.POSITIVE_INFINITY;
  #hasKilled = false;

  constructor(
    readonly context: Context,
    /** The job was started by this `run`; one that it found active may belong to somebody else. */
    readonly isOwnJob: boolean,
  ) {}

  /** Whether the signal ends our watching. Otherwise it has been passed on to the job. */
  leavesOn(signal: number, job: Job): boolean {
    if (isFirstProcess()) return this.#leavesAsFirst(signal, job);
    const { worker } = job;
    const unit = askUnit();
    const isInside = unit !== undefined && worker !== null && isThere(worker, unit.name);
    if (unit?.isOurs !== true || !(this.isOwnJob || isInside)) return true;
    // The worker passes on what it hears. What systemd has sent to the whole unit it has heard already.
    if (worker !== null && !(unit.signalsAll && isInside)) signalProcess(worker, signal);
    if (this.#stopping === undefined && Number.isFinite(unit.killsAfterMs)) {
      const reserveMs = Math.min(unit.killsAfterMs * RESERVE.share, RESERVE.longestMs);
      this.#stopping = unit;
      this.#killAt = performance.now() + unit.killsAfterMs - reserveMs;
      this.#leaveAt = this.#killAt + reserveMs / 2;
    }
    return false;
  }

  /** All processes of a container end with the first one, without a word: also the job, if it is in there. */
  #leavesAsFirst(signal: number, { worker, origin }: Job): boolean {
    const isInside = this.isOwnJob || origin?.pidNamespace === this.context.origin.pidNamespace;
    if (isInside && worker !== null) signalProcess(worker, signal);
    return !isInside;
  }

  /** For how long nothing is to be done here, in ms. */
  get restMs(): number {
    return this.#hasKilled ? Number.POSITIVE_INFINITY : Math.max(0, this.#killAt - performance.now());
  }

  /** The unit is being stopped, and systemd will soon kill what is left of it. */
  get isTimeOver(): boolean {
    return performance.now() >= this.#leaveAt;
  }

  /** The command went on after the stop, and we have ended it. */
  get hasKilled(): boolean {
    return this.#hasKilled;
  }

  /** Ends a command that goes on and on, shortly before systemd would kill it, its worker and us: then nobody would know. */
  async enforce(job: Job): Promise<void> {
    if (this.restMs > 0 || this.#stopping === undefined) return;
    this.#hasKilled = true;
    const reason = `${this.#stopping.name} is being stopped, and the command did not end within its TimeoutStopSec`;
    try {
      await cancelJob(this.context, { jobId: job.jobId }, { reason, graceMs: 0 });
    } catch (error) {
      // It has ended meanwhile.
      if (!(error instanceof OrchesjobError) || error.code !== "conflict") throw error;
    }
  }
}

const FIRST_LOOK_MS = 2;
const LONGEST_LOOK_MS = 100;

/**
 * Waits until the worker of a job that has ended has nothing more to do for it, where it ends with us: systemd kills what is
 * left of a service when its main process ends, and the kernel all that is in a container with its first process; and the
 * worker may still have the job's hook to run. `isEnough`: leave it to them, and the hook to whoever looks at the job next.
 */
export async function outlastWorker(
  context: Context,
  { jobId, worker, output, leftBehind }: Job,
  isEnough: () => boolean,
): Promise<void> {
  const unit = unitOf(readControlGroup("self"));
  if (worker === null || !(isFirstProcess() || unit?.endsWith(".service") === true)) return;
  const lives = () => (isFirstProcess() ? isLivingWorker(worker) : isThere(worker, unit!));
  // Who copies for daemons, or watches over what it could not end, stays longer than for its job.
  const staysLonger = output === "pipe" || (leftBehind?.length ?? 0) > 0;
  const runsHook = () => probeLock(hookFiles(context.home, jobId).lock) === "held";
  let pause = FIRST_LOOK_MS;
  while (lives() && (!staysLonger || runsHook()) && !isEnough()) {
    await Bun.sleep(pause);
    pause = Math.min(pause * 2, LONGEST_LOOK_MS);
  }
}

function isThere(worker: ProcessIdentity, unit: string): boolean {
  return isLivingWorker(worker) && isInUnit(worker.pid, unit);
}

function isLivingWorker({ pid, startTicks }: ProcessIdentity): boolean {
  const holder = readProcess(pid);
  return isLiving(holder) && holder.startTicks === startTicks;
}

/**
 * Ends us as the command has ended, where that was by a signal and we are the main process of a unit: to systemd an end by
 * TERM is a clean one, and an exit code of 143 is not. Returns where we are not, or the signal asks nobody to end.
 */
export function endAsCommand(signal: number): void {
  if (Object.values<number>(PASSED_ON).includes(signal) && askUnit()?.isOurs === true) dieOf(signal);
}
