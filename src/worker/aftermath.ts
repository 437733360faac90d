/**
 * How a worker ends its job's processes early, and how it waits for those that it cannot end. It is the subreaper of all of
 * them: a process whose parent has ended becomes its child. So it knows for certain when none is left, and it catches
 * processes that come and go faster than anybody can look through /proc.
 */
import type { Job } from "../job/job.ts";
import { killChild, nextEnd, reap } from "../linux/children.ts";
import { killControlGroup } from "../linux/control-group.ts";
import { lives, readChildren, signalProcess } from "../linux/pidfd.ts";
import { ProcessTable } from "../processes/table.ts";
import type { Context } from "../state/context.ts";
import type { ProcessStat } from "../linux/self.ts";
import { SIGKILL } from "../linux/signals.ts";
import { findChildren, findProcesses } from "../processes/job-processes.ts";
import { type Hunt, JobHunt, KILL_TIMEOUT_MS } from "../processes/terminate.ts";

/** How long `chase` looks for new children without a pause, and how long it goes on after the last new one, in ms. */
const CHASE_MS = 30;
const CHASE_QUIET_MS = 5;

export class WorkerHunt extends JobHunt implements Hunt {
  #hasLooked = false;
  /** The command had ended before anything was signalled: it keeps its own result, and what it left is not the job's. */
  endedByItself = false;

  /** `isOver`: another process has ended the target. */
  constructor(
    context: Context,
    job: Job,
    excludedPids: ReadonlySet<number>,
    readonly isOver: boolean,
  ) {
    super(context, job, excludedPids);
  }

  override look(): readonly ProcessStat[] {
    const seen = super.look();
    // The look took some ms, in which the command may have ended.
    if (!this.#hasLooked && !this.isOver && this.job.target !== null)
      this.endedByItself = !lives(this.job.target);
    this.#hasLooked = true;
    return this.endedByItself ? [] : seen;
  }

  /** Returns the worker's children that belong to the job, as the kernel lists them. */
  override missed(): readonly ProcessStat[] {
    // We have no child left, so no descendant of the command lives.
    if (this.endedByItself || !reap()) return [];
    return findChildren(this.context, this.job, process.pid) ?? super.missed();
  }

  chase(): void {
    const table = new ProcessTable(this.context.origin);
    const known = new Set<number>();
    const endAt = performance.now() + CHASE_MS;
    for (let time = performance.now(), quietAt = time + CHASE_QUIET_MS; time < Math.min(endAt, quietAt);) {
      if (!reap()) return;
      for (const pid of readChildren("self") ?? []) {
        if (known.has(pid)) continue;
        known.add(pid);
        quietAt = performance.now() + CHASE_QUIET_MS;
        if (!table.isStranger(pid, this.job)) killChild(pid);
      }
      time = performance.now();
    }
  }

  remaining(): readonly ProcessStat[] {
    const { seen } = findProcesses(this.context, this.job, {
      excludedPids: this.excludedPids,
      trustSession: false,
    });
    return seen.length > 0 ? seen : this.missed();
  }
}

const SHORTEST_PAUSE_MS = 10;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Waits until no process of the job lives, though the job's end is recorded: as long as the worker lives, other commands
 * recognize its children as the job's. From `killAt` on (on the clock of performance.now()), kills the processes that it may
 * kill.
 */
export async function outlast(hunt: WorkerHunt, { unit }: Pick<Job, "unit">, killAt: number): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const left = hunt.remaining();
    if (left.length === 0) return;
    const rest = killAt - performance.now();
    if (rest <= 0) {
      for (const entry of left) signalProcess(entry, SIGKILL);
      hunt.chase();
      // This ends the worker, too. The end of the job is recorded.
      if (rest <= -KILL_TIMEOUT_MS && unit !== null) killControlGroup(unit);
    }
    // Look again as soon as a child ends, but not once for each of thousands.
    await nextEnd(rest > 0 ? Math.min(pause, rest) : pause);
    await Bun.sleep(SHORTEST_PAUSE_MS);
  }
}
