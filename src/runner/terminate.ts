/** Ends every process of a job: TERM, a grace, KILL; and proves it by looking again. */
import type { Job } from "../job/job.ts";
import { ProcessTable } from "../os/process-tree.ts";
import type { ProcessStat } from "../os/self.ts";
import { SIGCONT, SIGKILL, signalProcess, SIGTERM } from "../os/signals.ts";
import type { Context } from "./context.ts";
import { findProcesses } from "./processes.ts";

export const DEFAULT_GRACE_MS = 5_000;

/** How long a process may take to die of KILL before it counts as a survivor (in the kernel's hands), in ms. */
const KILL_PATIENCE_MS = 5_000;
const FIRST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 50;

/** When TERM has had its time and KILL follows. */
export class Deadline {
  /** On the clock of performance.now(), which does not jump. */
  killAt: number;

  constructor(graceMs: number) {
    this.killAt = performance.now() + graceMs;
  }

  /** Somebody has less patience. */
  shorten(graceMs: number): void {
    this.killAt = Math.min(this.killAt, performance.now() + graceMs);
  }
}

/** Returns the pids that are still alive afterwards: none, unless the kernel or another user holds them. Processes that only
 *  their session's number names are spared. */
export async function terminate(
  context: Context,
  job: Job,
  deadline: Deadline,
  bystanders: ReadonlySet<number> = new Set(),
): Promise<readonly number[]> {
  let trustSession = false;
  const look = () => {
    const table = new ProcessTable(context.origin);
    // Once the target was seen its session's number is not another's, for as long as we find somebody in it.
    trustSession ||= table.seesTarget(job);
    return findProcesses(context, job, { table, bystanders, trustSession }).seen;
  };
  return endAll(look, deadline);
}

/** As terminate, for whoever `look` finds. */
export async function endAll(
  look: () => readonly ProcessStat[],
  deadline: Deadline,
): Promise<readonly number[]> {
  const termed = new Set<string>();
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 2, LONGEST_LOOK_MS)) {
    const alive = look();
    const time = performance.now();
    const { killAt } = deadline;
    const giveUpAt = killAt + KILL_PATIENCE_MS;
    if (alive.length === 0 || time >= giveUpAt) return alive.map((entry) => entry.pid);
    for (const entry of alive) {
      const key = `${entry.pid} ${entry.startTicks}`;
      if (time >= killAt) signalProcess(entry, SIGKILL);
      else if (!termed.has(key)) {
        termed.add(key);
        signalProcess(entry, SIGTERM);
        // A stopped process hears TERM only when it goes on.
        signalProcess(entry, SIGCONT);
      }
    }
    const rest = (time < killAt ? killAt : giveUpAt) - time;
    await Bun.sleep(Math.max(1, Math.min(pause, rest)));
  }
}
