/** Ends a job early: on cancel, timeout, stall, too much output or partition of the fleet. */
import { formatExactly } from "../job/duration.ts";
import type { CancelRequest, Job, ProcessIdentity } from "../job/job.ts";
import { identify, lives } from "../linux/pidfd.ts";
import { callerProcesses } from "../processes/proc.ts";
import { Deadline, endAll } from "../processes/terminate.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import type { WorkerHunt } from "./aftermath.ts";
import type { StopReason } from "./stop-reason.ts";

interface Stopped {
  readonly reason: StopReason;
  readonly leftBehind: readonly ProcessIdentity[];
  readonly hunt: WorkerHunt;
  readonly killAt: number;
}

/** Ends the job's processes, for the first reason that comes, unless the target has ended by itself. */
export class Stopper {
  #deadline: Deadline | undefined;
  #done: Promise<Stopped | undefined> | undefined;
  readonly #surrender = Promise.withResolvers<void>();

  constructor(
    readonly context: Context,
    readonly job: Job,
    /** Whether the worker has reaped the target. */
    readonly hasEnded: () => boolean,
  ) {}

  get hasBegun(): boolean {
    return this.#done !== undefined;
  }

  /** Resolves when there are survivors that the worker cannot end. */
  get gaveUp(): Promise<void> {
    return this.#surrender.promise;
  }

  /**
   * Starts to end the processes; a later call can only shorten `graceMs`. `isOver`: another process has ended the target for
   * this reason already.
   */
  stop(reason: StopReason, graceMs: number, excludedPids?: ReadonlySet<number>, isOver = false): void {
    this.#deadline?.shorten(graceMs);
    const { target } = this.job;
    if (this.#done !== undefined || target === null) return;
    if (!isOver && (this.hasEnded() || !lives(target))) return;
    debug?.note(`ends all processes of the job (${reason}), with ${formatExactly(graceMs)} for TERM`);
    this.#deadline = new Deadline(graceMs);
    this.#done = this.#end(reason, this.#deadline, isOver, excludedPids);
  }

  async #end(
    reason: StopReason,
    deadline: Deadline,
    isOver: boolean,
    excludedPids: ReadonlySet<number> = new Set(),
  ): Promise<Stopped | undefined> {
    const { WorkerHunt } = await import("./aftermath.ts");
    const hunt = new WorkerHunt(this.context, this.job, excludedPids, isOver);
    const left = await endAll(hunt, deadline);
    if (hunt.endedByItself) {
      debug?.note("the command has just ended by itself: nothing was signalled");
      return undefined;
    }
    if (left.length > 0) {
      debug?.note(`cannot end these processes: ${left.map(({ pid }) => pid).join(", ")}`);
      this.#surrender.resolve();
    }
    const leftBehind = left.map(({ pid, startTicks }) => ({
      pid,
      startTicks,
      inode: identify(pid).inode ?? 0,
    }));
    return { reason, leftBehind, hunt, killAt: deadline.killAt };
  }

  cancel(request: CancelRequest, isOver = false): void {
    this.stop("cancel", request.graceMs, callerProcesses(request.pid), isOver);
  }

  /** Resolves once the processes have ended, or cannot be ended; to undefined if the job was not stopped. */
  async finished(): Promise<Stopped | undefined> {
    return this.#done;
  }
}
