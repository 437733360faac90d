/** Ends a job before its time. */
import { formatExactly } from "../job/duration.ts";
import type { CancelRequest, Job, ProcessIdentity } from "../job/job.ts";
import { identify, lives } from "../linux/pidfd.ts";
import { callerProcesses } from "../processes/proc.ts";
import { Deadline, endAll } from "../processes/terminate.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import type { WorkerHunt } from "./aftermath.ts";

interface Stopped {
  readonly reason: "cancel" | "timeout";
  readonly leftBehind: readonly ProcessIdentity[];
  readonly hunt: WorkerHunt;
  readonly killAt: number;
}

/** Ends the target before its time, for the first reason that comes, unless it has ended by itself. */
export class Stopper {
  #deadline: Deadline | undefined;
  #done: Promise<Stopped> | undefined;
  readonly #surrender = Promise.withResolvers<void>();

  constructor(
    readonly context: Context,
    readonly job: Job,
    /** Whether we have taken leave of the target already. */
    readonly hasEnded: () => boolean,
  ) {}

  get hasBegun(): boolean {
    return this.#done !== undefined;
  }

  /** Settles when somebody is left whom we cannot end. */
  get gaveUp(): Promise<void> {
    return this.#surrender.promise;
  }

  /** `isOver`: somebody has ended the target for this reason. */
  stop(reason: Stopped["reason"], graceMs: number, excludedPids?: ReadonlySet<number>, isOver = false): void {
    this.#deadline?.shorten(graceMs);
    const { target } = this.job;
    if (this.#done !== undefined || target === null) return;
    if (!isOver && (this.hasEnded() || !lives(target))) return;
    debug?.note(`ends all processes of the job (${reason}), with ${formatExactly(graceMs)} for TERM`);
    this.#deadline = new Deadline(graceMs);
    this.#done = this.#end(reason, this.#deadline, excludedPids);
  }

  async #end(
    reason: Stopped["reason"],
    deadline: Deadline,
    excludedPids: ReadonlySet<number> = new Set(),
  ): Promise<Stopped> {
    const { WorkerHunt } = await import("./aftermath.ts");
    const hunt = new WorkerHunt(this.context, this.job, excludedPids);
    const left = await endAll(hunt, deadline);
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

  /** Once everything that was to end has ended, or will not; undefined where nothing was to. */
  async finished(): Promise<Stopped | undefined> {
    return this.#done;
  }
}
