/** Ends every process of a job: TERM, a grace period, KILL. Proves that none is left, or returns the survivors. */
import type { Job } from "../job/job.ts";
import { type Delivery, signalProcess } from "../linux/pidfd.ts";
import { ProcessTable } from "./table.ts";
import type { ProcessStat } from "../linux/self.ts";
import { SIGCONT, SIGKILL, SIGTERM } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { findProcesses } from "./job-processes.ts";

export const DEFAULT_GRACE_MS = 5_000;

/** How long a process may take to die of KILL, in ms. After that the kernel holds it, and it counts as a survivor. */
export const KILL_TIMEOUT_MS = 5_000;
const FIRST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 50;

/** The end of the grace period: then KILL follows TERM. */
export class Deadline {
  /** On the clock of performance.now(), which does not jump. */
  killAt: number;

  constructor(graceMs: number) {
    this.killAt = performance.now() + graceMs;
  }

  /** Shortens the grace period to end at most this many ms from now. */
  shorten(graceMs: number): void {
    this.killAt = Math.min(this.killAt, performance.now() + graceMs);
  }
}

/** The processes that endAll ends, and how it knows that none is left. */
export interface Hunt {
  look(): readonly ProcessStat[];
  /** Called when `look` has found nothing. Returns the processes that live all the same; undefined or empty: none is left. */
  missed?(): readonly ProcessStat[];
  /** Kills processes that start faster than `look` finds them. */
  chase?(): void;
}

/** How many looks in a row must find nothing. A look takes some ms, in which a process can start another and end. */
const EMPTY_LOOKS = 3;

/** Looks for the processes of a job from outside: from a process that is not its worker. */
export class JobHunt implements Hunt {
  #trustSession = false;
  #emptyLooks = 0;
  #last: readonly ProcessStat[] = [];

  constructor(
    readonly context: Context,
    readonly job: Job,
    /** Processes that are spared if only their environment names them. */
    readonly excludedPids: ReadonlySet<number>,
  ) {}

  /** Spares processes that only the number of their session names. */
  look(): readonly ProcessStat[] {
    const table = new ProcessTable(this.context.origin);
    // Once we have seen the target, its session number is not reused as long as we find a process in the session.
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
 * Ends the processes and returns the survivors: none, unless the kernel or another user holds them. Returns at once if we may
 * signal none of those that are left.
 */
export async function endAll(hunt: Hunt, deadline: Deadline): Promise<readonly ProcessStat[]> {
  const deliveries = new Map<string, Delivery>();
  const killed = new Set<number>();
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 2, LONGEST_LOOK_MS)) {
    const alive = hunt.look();
    const missed = alive.length === 0 ? (hunt.missed?.() ?? []) : [];
    if (alive.length === 0 && missed.length === 0) return [];
    const time = performance.now();
    const { killAt } = deadline;
    const giveUpAt = killAt + KILL_TIMEOUT_MS;
    if (time >= giveUpAt) return alive.length > 0 ? alive : missed;
    let inReach = alive.length === 0;
    for (const entry of alive) {
      const key = `${entry.pid} ${entry.startTicks}`;
      if (time >= killAt) {
        deliveries.set(key, signalProcess(entry, SIGKILL));
        if (debug !== undefined && !killed.has(entry.pid)) {
          killed.add(entry.pid);
          debug.note(`KILL to process ${entry.pid}: ${deliveries.get(key)}`);
        }
      } else if (!deliveries.has(key)) {
        deliveries.set(key, signalProcess(entry, SIGTERM));
        debug?.note(`TERM to process ${entry.pid}: ${deliveries.get(key)}`);
        // A stopped process handles TERM only when it continues.
        signalProcess(entry, SIGCONT);
      }
      inReach ||= deliveries.get(key) !== "refused";
    }
    if (!inReach) return alive;
    if (time >= killAt) hunt.chase?.();
    const rest = (time < killAt ? killAt : giveUpAt) - time;
    await Bun.sleep(Math.max(1, Math.min(alive.length === 0 ? FIRST_LOOK_MS : pause, rest)));
  }
}
