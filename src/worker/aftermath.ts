/**
 * How a worker ends the processes of its own job before their time, and what it does about those that it cannot end. It is the
 * subreaper of all of them: one whose parent is gone becomes its child. So it can say for certain that none is left, and
 * catches those that come and go faster than anybody can look through /proc.
 */
import type { Job } from "../job/job.ts";
import { killChild, nextEnd, reap } from "../linux/children.ts";
import { killControlGroup } from "../linux/control-group.ts";
import { readChildren, signalProcess } from "../linux/pidfd.ts";
import { ProcessTable } from "../processes/table.ts";
import type { ProcessStat } from "../linux/self.ts";
import { SIGKILL } from "../linux/signals.ts";
import { findChildren, findProcesses } from "../processes/job-processes.ts";
import { type Hunt, JobHunt, KILL_PATIENCE_MS } from "../processes/terminate.ts";

/** How long it runs after its children without a pause, and without a new one, in ms. */
const CHASE_MS = 30;
const CHASE_QUIET_MS = 5;

export class WorkerHunt extends JobHunt implements Hunt {
  /** Those of our children that are of the job, as the kernel counts them. */
  override missed(): readonly ProcessStat[] {
    // Nobody that has ever come from the command lives.
    if (!reap()) return [];
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
 * Stays until no process of the job lives, though its end is recorded: so that none of them gets lost to those who look for
 * them. What can be killed meanwhile is killed from `killAt` on (on the clock of performance.now()).
 */
export async function outlast(hunt: WorkerHunt, { unit }: Job, killAt: number): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const left = hunt.remaining();
    if (left.length === 0) return;
    const rest = killAt - performance.now();
    if (rest <= 0) {
      for (const entry of left) signalProcess(entry, SIGKILL);
      hunt.chase();
      // It ends us as well, who have nothing more to say.
      if (rest <= -KILL_PATIENCE_MS && unit !== null) killControlGroup(unit);
    }
    // At once where a child ends, but not for each of thousands.
    await nextEnd(rest > 0 ? Math.min(pause, rest) : pause);
    await Bun.sleep(SHORTEST_PAUSE_MS);
  }
}
