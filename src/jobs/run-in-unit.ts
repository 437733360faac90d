/**
 * `run` as the main process of a systemd unit, or as the command of a container. To somebody who watches a job a signal
 * means: leave, the job goes on. Here it means the job: `run` is the command, is stopped as the command, stays until it has
 * ended, and ends as it did. Loaded only there, and where a signal has come.
 */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { signalProcess } from "../linux/pidfd.ts";
import { FORWARDED_SIGNALS } from "../linux/signals.ts";
import { askUnit, dieOf, type Unit } from "../systemd/unit.ts";
import { cancelJob } from "./cancel.ts";
import type { Context } from "../state/context.ts";
import { isWorkerInUnit, passOnInContainer } from "./worker-exit.ts";

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
    /** A container ends with us: see isContainersCommand. */
    readonly endsContainer: boolean,
  ) {}

  /** Whether the signal ends our watching. Otherwise it has been passed on to the job. */
  leavesOn(signal: number, job: Job): boolean {
    if (this.endsContainer) return !passOnInContainer(this.context, job, this.isOwnJob, signal);
    const { worker } = job;
    const unit = askUnit();
    const isInside = unit !== undefined && worker !== null && isWorkerInUnit(worker, unit.name);
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

/**
 * Ends us as the command has ended, where that was by a signal and we are the main process of a unit: to systemd an end by
 * TERM is a clean one, and an exit code of 143 is not. Returns where we are not, or the signal asks nobody to end.
 */
export function endAsCommand(signal: number): void {
  if (Object.values<number>(FORWARDED_SIGNALS).includes(signal) && askUnit()?.isOurs === true) dieOf(signal);
}
