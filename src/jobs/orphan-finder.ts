/** Finds the processes that survived their jobs, and says so. */
import { awaitsOrphans, mayHoldKey } from "../job/ending.ts";
import { areDifferentBoots, type Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { findProcesses, type JobProcesses } from "../processes/job-processes.ts";
import { ProcessTable } from "../processes/table.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";

export interface Orphans extends JobProcesses {
  readonly pids: readonly number[];
}

/** Starts a keeper for lost jobs that have left processes, if they have none: see worker/keeper.ts. */
export async function keepOrphans(context: Context, jobs: readonly Job[]): Promise<void> {
  const awaiting: Job[] = [];
  for (const job of jobs) if (awaitsOrphans(job)) awaiting.push(job);
  if (awaiting.length === 0) return;
  const { catchUpOrphans } = await import("../worker/lost-catch-up.ts");
  await catchUpOrphans(context, awaiting);
}

export const NO_ORPHANS: Orphans = { seen: [], pids: [], unseen: false };

/** Finds the processes that survived their jobs. Reads the process table once for all jobs. */
export class OrphanFinder {
  #table: ProcessTable | undefined;
  readonly #found: Job[] = [];

  constructor(
    readonly context: Context,
    /** See Evidence of processes/. */
    readonly excludedPids: ReadonlySet<number> = new Set(),
  ) {}

  find(job: Job): Orphans {
    if (!mayHoldKey(job) || job.elsewhere !== undefined) return NO_ORPHANS;
    // No process survives a reboot.
    if (job.origin !== null && areDifferentBoots(job.origin, this.context.origin)) return NO_ORPHANS;
    const orphans = this.ofActive(job);
    if (hasOrphans(orphans)) this.#found.push(job);
    return orphans;
  }

  /** Makes sure that somebody waits for the processes that were found of lost jobs. */
  keep(): Promise<void> {
    return keepOrphans(this.context, this.#found);
  }

  /** As find, but also for a job that is still active, because its end could not be recorded. */
  ofActive(job: Job): Orphans {
    this.#table ??= new ProcessTable(this.context.origin);
    const { seen, unseen } = findProcesses(this.context, job, {
      table: this.#table,
      excludedPids: this.excludedPids,
    });
    const pids: number[] = [];
    for (const { pid } of seen) pids.push(pid);
    return { seen, pids, unseen };
  }
}

export function hasOrphans(orphans: Orphans): boolean {
  return orphans.pids.length > 0 || orphans.unseen;
}

const UNSEEN_LOOKS = 10;
const UNSEEN_PAUSE_MS = 20;

/**
 * As OrphanFinder, for callers that refuse something because of orphans. Waits up to 0.2 s for unseen ones: a process that is
 * starting or dying holds files but is not visible, and a worker takes a moment to record that none is left.
 */
export async function findOrphans(
  context: Context,
  store: JobStore,
  job: Job,
  excludedPids?: ReadonlySet<number>,
): Promise<Orphans> {
  let current = job;
  for (let looks = 0; ; looks++) {
    const finder = new OrphanFinder(context, excludedPids);
    const orphans = finder.find(current);
    if (!orphans.unseen || looks === UNSEEN_LOOKS) {
      await finder.keep();
      return orphans;
    }
    await Bun.sleep(UNSEEN_PAUSE_MS);
    current = (await store.find(job.jobId)) ?? current;
  }
}

/** Says on stderr that processes of a finished job still live and block its key. */
export async function reportOrphans(context: Context, job: Job, orphans: Orphans): Promise<void> {
  if (job.elsewhere?.holdsKey === true && !isActive(job.status)) {
    const { what, hint } = (await import("./elsewhere.ts")).describeHolder(job);
    context.notify(`${what}; its run key stays blocked: ${hint}`);
  }
  if (!hasOrphans(orphans)) return;
  await keepOrphans(context, [job]);
  const { describeSurvivors } = await import("./survivors.ts");
  const { end, who, hint } = describeSurvivors(context, job, orphans);
  context.notify(`${end}, but ${who}; its run key stays blocked: ${hint}`);
}
