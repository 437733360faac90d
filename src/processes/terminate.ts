/** Ends every process of a job: TERM, a grace, KILL; and proves it, or tells what it could not end. */
import type { Job } from "../job/job.ts";
import { type Delivery, signalProcess } from "../linux/pidfd.ts";
import { ProcessTable } from "./table.ts";
import type { ProcessStat } from "../linux/self.ts";
import { SIGCONT, SIGKILL, SIGTERM } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { findProcesses } from "./job-processes.ts";

export const DEFAULT_GRACE_MS = 5_000;

/** How long a process may take to die of KILL before it counts as a survivor (in the kernel's hands), in ms. */
export const KILL_PATIENCE_MS = 5_000;
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

/** Whom endAll ends, and how it knows that nobody is left. */
export interface Hunt {
  look(): readonly ProcessStat[];
  /** Asked when a look has found nobody: undefined, or empty, where that is the end; otherwise who is there all the same. */
  missed?(): readonly ProcessStat[];
  /** Kills those that come faster than looks do. */
  chase?(): void;
}

/** One look through /proc takes some ms, in which a process can have started another and be gone. */
const EMPTY_LOOKS = 3;

/** Looks for the processes of a job from outside: from a process that is not its worker. */
export class JobHunt implements Hunt {
  #trustSession = false;
  #emptyLooks = 0;
  #last: readonly ProcessStat[] = [];

  constructor(
    readonly context: Context,
    readonly job: Job,
    /** Processes that only their environment names, and that are spared. */
    readonly excludedPids: ReadonlySet<number>,
  ) {}

  /** Processes that only their session's number names are spared. */
  look(): readonly ProcessStat[] {
    const table = new ProcessTable(this.context.origin);
    // Once the target was seen its session's number is not another's, for as long as we find somebody in it.
    this.#trustSession ||= table.seesTarget(this.job);
    const { excludedPids } = this;
    const { seen } = findProcesses(this.context, this.job, {
      table,
      excludedPids,
      trustSession: this.#trustSession,
    });
    if (seen.length > 0) {
      this.#emptyLooks = 0;
      this.#last = seen;
    }
    return seen;
  }

  /** Without a worker, whose children they would become, only more looks can tell. */
  missed(): readonly ProcessStat[] {
    this.#emptyLooks += 1;
    return this.#emptyLooks < EMPTY_LOOKS ? this.#last : [];
  }
}

/**
 * Returns who is still alive afterwards: nobody, unless the kernel or another user holds them. Where all that are left may not
 * be signalled by us, it says so at once.
 */
export async function endAll(hunt: Hunt, deadline: Deadline): Promise<readonly ProcessStat[]> {
  const told = new Map<string, Delivery>();
  const killed = new Set<number>();
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 2, LONGEST_LOOK_MS)) {
    const alive = hunt.look();
    const missed = alive.length === 0 ? (hunt.missed?.() ?? []) : [];
    if (alive.length === 0 && missed.length === 0) return [];
    const time = performance.now();
    const { killAt } = deadline;
    const giveUpAt = killAt + KILL_PATIENCE_MS;
    if (time >= giveUpAt) return alive.length > 0 ? alive : missed;
    let inReach = alive.length === 0;
    for (const entry of alive) {
      const key = `${entry.pid} ${entry.startTicks}`;
      if (time >= killAt) {
        told.set(key, signalProcess(entry, SIGKILL));
        if (debug !== undefined && !killed.has(entry.pid)) {
          killed.add(entry.pid);
          debug.note(`KILL to process ${entry.pid}: ${told.get(key)}`);
        }
      } else if (!told.has(key)) {
        told.set(key, signalProcess(entry, SIGTERM));
        debug?.note(`TERM to process ${entry.pid}: ${told.get(key)}`);
        // A stopped process hears TERM only when it goes on.
        signalProcess(entry, SIGCONT);
      }
      inReach ||= told.get(key) !== "refused";
    }
    if (!inReach) return alive;
    if (time >= killAt) hunt.chase?.();
    const rest = (time < killAt ? killAt : giveUpAt) - time;
    await Bun.sleep(Math.max(1, Math.min(alive.length === 0 ? FIRST_LOOK_MS : pause, rest)));
  }
}
