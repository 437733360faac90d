/** Which finished jobs `clean` keeps although its limits allow to delete them. */
import type { Job } from "../job/job.ts";
import { probeLock } from "../linux/file-lock.ts";
import { isThere } from "../linux/stat.ts";
import { isOutOfSight } from "../processes/liveness.ts";
import type { Context } from "../state/context.ts";
import { pipeFiles } from "../state/paths.ts";
import type { CleanCandidate, JobStore } from "../store/store.ts";
import { findEarlierAttempts } from "./attempts.ts";
import { hasOrphans, OrphanFinder } from "./orphan-finder.ts";

export class KeptJobs {
  readonly #orphans: OrphanFinder;
  #overdue: Job[] = [];
  #unpublished = 0;
  #attempts = 0;

  constructor(
    readonly context: Context,
    readonly store: JobStore,
  ) {
    this.#orphans = new OrphanFinder(context);
  }

  /** Whether the registry of the fleet has yet to hear of a job; undefined: it has all of them, or there is no fleet. */
  async findUnpublished(): Promise<((jobId: string) => Promise<boolean>) | undefined> {
    if (!isThere(this.context.home.fleet)) return undefined;
    const publications = await this.store.publications();
    if ((await publications.count()) === 0) return undefined;
    return async (jobId) => {
      if ((await publications.pending(jobId)) === undefined) return false;
      this.#unpublished += 1;
      return true;
    };
  }

  /** Says how many jobs are kept because of that, and returns it. */
  reportUnpublished(): number {
    const count = this.#unpublished;
    const what = count === 1 ? "1 job is" : `${count} jobs are`;
    if (count > 0)
      this.context.notify(
        `${what} kept: the registry of the fleet has yet to hear of ${count === 1 ? "it" : "them"}`,
      );
    return count;
  }

  /**
   * Whether a job is an attempt of a run that goes on (`--retries`): then its id stands for the run. To be called after the
   * candidates were read; a run that ends meanwhile keeps its attempts until the next clean.
   */
  async findAttempts(): Promise<(jobId: string) => boolean> {
    const kept = new Set<string>();
    for (const job of await this.store.active())
      for (const { jobId } of await findEarlierAttempts(this.store, job)) kept.add(jobId);
    return (jobId) => {
      if (!kept.has(jobId)) return false;
      this.#attempts += 1;
      return true;
    };
  }

  /** Says how many jobs are kept because of that. */
  reportAttempts(): void {
    const count = this.#attempts;
    if (count > 0)
      this.context.notify(
        `${count === 1 ? "1 job is kept: it is an attempt" : `${count} jobs are kept: they are attempts`} of a run that goes on`,
      );
  }

  /**
   * Whether a job must stay. Three reasons: processes of a job that ended early still run, so its row must block the key; its
   * hook has not run; a process still writes to its output pipe, and would block forever if nobody could find and copy it.
   */
  async isKept({ jobId, mayLive, hook, hasPipes }: CleanCandidate): Promise<boolean> {
    if (hasPipes && this.#isWrittenTo(jobId)) {
      this.context.notify(`job ${jobId} is kept: a process that it left behind still has its output open`);
      return true;
    }
    if (!mayLive && hook !== "due") return false;
    const job = await this.store.find(jobId);
    if (job === undefined) return false;
    if (hook === "due") {
      this.#overdue.push(job);
      this.context.notify(`job ${jobId} is kept: its hook has not ended yet`);
      return true;
    }
    if (hasOrphans(this.#orphans.find(job))) {
      this.context.notify(`job ${jobId} is kept: its command still runs`);
      return true;
    }
    // Processes in another PID namespace may have closed their output, whose locks are all that can be seen from here. A worker
    // that ended the job has recorded what it left (leftBehind); older versions did not, and are trusted.
    if (job.status !== "LOST" && job.leftBehind === null) return false;
    if (!isOutOfSight(job, this.context.origin)) return false;
    this.context.notify(
      `job ${jobId} is kept: it ran in another PID namespace, so clean cannot see from here whether its command still runs; run clean where it ran`,
    );
    return true;
  }

  /** Runs the hooks of kept jobs whose worker was killed. */
  async runOverdueHooks(): Promise<void> {
    const overdue = this.#overdue;
    this.#overdue = [];
    if (overdue.length === 0) return;
    await (await import("../hooks/catch-up.ts")).catchUpHooks(this.context, overdue);
  }

  #isWrittenTo(jobId: string): boolean {
    return Object.values(pipeFiles(this.context.home, jobId)).some((path) => probeLock(path) === "held");
  }
}
