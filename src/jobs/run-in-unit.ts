/**
 * The signals of `run`. Usually a signal ends only `run`, and the job goes on. But as the main process of a systemd unit, or as
 * the command of a container, `run` stands for the job: it passes the signal on, stays until the job has ended, and ends as the
 * command did. Loaded when a signal comes, or when `run` must end as the command did.
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
 * The last part of the stop timeout is reserved for killing the command and recording the result. `run` leaves when half of it is
 * over, even if the worker has not finished its last steps.
 */
const RESERVE = { share: 0.25, longestMs: 5_000 } as const;

export class RunSignals {
  #stopping: Unit | undefined;
  #killAt = Number.POSITIVE_INFINITY;
  #leaveAt = Number.POSITIVE_INFINITY;
  #hasKilled = false;

  constructor(
    readonly context: Context,
    /** This `run` started the job. If it attached to an active job, that job may belong to another caller. */
    readonly isOwnJob: boolean,
    /** A container ends with this process: see isContainersCommand. */
    readonly endsContainer: boolean,
  ) {}

  /** Whether the signal ends only this `run`. If not, it has been passed on to the job. */
  leavesOn(signal: number, job: Job): boolean {
    if (this.endsContainer) return !passOnInContainer(this.context, job, this.isOwnJob, signal);
    const { worker } = job;
    const unit = askUnit();
    const isInside = unit !== undefined && worker !== null && isWorkerInUnit(worker, unit.name);
    if (unit?.isOurs !== true || !(this.isOwnJob || isInside)) return true;
    // The worker passes the signal on to the command. If systemd has signalled the whole unit, the worker has already got it.
    if (worker !== null && !(unit.signalsAll && isInside)) signalProcess(worker, signal);
    if (this.#stopping === undefined && Number.isFinite(unit.killsAfterMs)) {
      const reserveMs = Math.min(unit.killsAfterMs * RESERVE.share, RESERVE.longestMs);
      this.#stopping = unit;
      this.#killAt = performance.now() + unit.killsAfterMs - reserveMs;
      this.#leaveAt = this.#killAt + reserveMs / 2;
    }
    return false;
  }

  /** How long until enforce has something to do, in ms. */
  get restMs(): number {
    return this.#hasKilled ? Number.POSITIVE_INFINITY : Math.max(0, this.#killAt - performance.now());
  }

  /** Whether the unit is being stopped, and systemd will soon kill what is left of it. */
  get isTimeOver(): boolean {
    return performance.now() >= this.#leaveAt;
  }

  /** Whether enforce has ended the command, because it did not end when the unit was stopped. */
  get hasKilled(): boolean {
    return this.#hasKilled;
  }

  /** Ends a command that ignores the stop, shortly before systemd kills it and its worker, so that the worker records the end. */
  async enforce(job: Job): Promise<void> {
    if (this.restMs > 0 || this.#stopping === undefined) return;
    this.#hasKilled = true;
    const reason = `${this.#stopping.name} is being stopped, and the command did not end within its TimeoutStopSec`;
    try {
      await cancelJob(this.context, { jobId: job.jobId }, { reason, graceMs: 0 });
    } catch (error) {
      // It has ended in the meantime.
      if (!(error instanceof OrchesjobError) || error.code !== "conflict") throw error;
    }
  }
}

/**
 * Ends this process by the signal that ended the command, if this is the main process of a unit: systemd takes an end by TERM
 * for clean, but not the exit code 143. Returns if it is not, or if the signal is not one that asks a process to end.
 */
export function endAsCommand(signal: number): void {
  if (Object.values<number>(FORWARDED_SIGNALS).includes(signal) && askUnit()?.isOurs === true) dieOf(signal);
}
