/** `clean`: deletes finished jobs with their logs. Files go first, so that a kill in between leaves rows for the next clean. */
import type { Instant, Job } from "../job/job.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { probeLock } from "../linux/file-lock.ts";
import { isOutOfSight } from "../processes/liveness.ts";
import type { Context } from "../state/context.ts";
import { pipeFiles } from "../state/paths.ts";
import type { CleanCandidate, JobStore } from "../store/store.ts";
import { JobFiles } from "./job-files.ts";
import { reportMissingDatabase } from "./missing-database.ts";
import { sweepOrphanedFiles } from "./orphaned-files.ts";
import { hasOrphans, OrphanFinder } from "./reconcile.ts";

/** Jobs of one transaction: many, so that a page of the indexes is written once for many of them; and yet others wait no
 *  longer than some tenths of a second. */
const BATCH = 5_000;
const PROGRESS_STEP = 10_000;
/** Run keys whose newest jobs are remembered. */
const REMEMBERED_KEYS = 20_000;

/** Which jobs may go: those that every limit given lets go. At least one is given. */
export interface CleanLimits {
  /** Only what ended before this time. */
  readonly before: Instant | undefined;
  /** Only what is none of so many newest finished jobs of its run key. */
  readonly keep: number | undefined;
  /** Only as long as the logs of all jobs together have more bytes than this, the oldest first. */
  readonly maxLogBytes: number | undefined;
}

/** What would be deleted. */
export interface DryRun {
  job(job: Job): void;
  /** A log or lock file that belongs to no job. */
  orphanedFile(path: string): void;
}

export interface CleanResult {
  readonly deleted: number;
  readonly errors: number;
  readonly orphanedFiles: number;
  /** Bytes of the logs that are left; undefined where there is no limit to them. */
  readonly logBytes: number | undefined;
}

/** Deletes, or with `dryRun` only tells of it. */
export async function cleanJobs(
  context: Context,
  limits: CleanLimits,
  dryRun?: DryRun,
): Promise<CleanResult> {
  const store = context.openStore();
  if (store === undefined) {
    reportMissingDatabase(context);
    return nothingDone(limits);
  }
  const sweep = { before: limits.before, dryRun: dryRun?.orphanedFile };
  // The total is known only when every file was looked at, so strays come first where there is a limit to it.
  const first =
    limits.maxLogBytes === undefined ? undefined : await sweepOrphanedFiles(context, store, sweep);
  const cleaner = new Cleaner(context, store, limits, first?.logBytes ?? 0);
  if (dryRun === undefined) {
    await cleaner.deleteAll();
    await store.forgetRequests();
    await store.discardOldCopy();
    await store.vacuum();
  } else {
    await cleaner.reportAll(dryRun);
  }
  const { orphanedFiles, errors } = first ?? (await sweepOrphanedFiles(context, store, sweep));
  return {
    deleted: cleaner.deleted,
    errors: cleaner.errors + errors,
    orphanedFiles,
    logBytes: cleaner.logBytes,
  };
}

function nothingDone({ maxLogBytes }: CleanLimits): CleanResult {
  return { deleted: 0, errors: 0, orphanedFiles: 0, logBytes: maxLogBytes === undefined ? undefined : 0 };
}

class Cleaner {
  readonly #orphans: OrphanFinder;
  readonly #files: JobFiles;
  /** See firstKept; undefined: the key has no more than are to be kept. */
  readonly #firstKept = new Map<string, number | undefined>();
  #logBytes: number;
  deleted = 0;
  errors = 0;

  constructor(
    readonly context: Context,
    readonly store: JobStore,
    readonly limits: CleanLimits,
    logBytes: number,
  ) {
    this.#orphans = new OrphanFinder(context);
    this.#files = new JobFiles(context);
    this.#logBytes = logBytes;
  }

  get logBytes(): number | undefined {
    return this.limits.maxLogBytes === undefined ? undefined : this.#logBytes;
  }

  async deleteAll(): Promise<void> {
    for await (const doomed of this.#batches()) {
      const gone = doomed.filter((candidate) => this.#deleteFiles(candidate));
      this.errors += doomed.length - gone.length;
      const step = Math.floor(this.deleted / PROGRESS_STEP);
      this.deleted += await this.store.remove(gone.map((candidate) => candidate.jobId));
      if (step < Math.floor(this.deleted / PROGRESS_STEP))
        this.context.progress(`deleted ${this.deleted} jobs`);
    }
  }

  async reportAll(dryRun: DryRun): Promise<void> {
    for await (const doomed of this.#batches()) {
      for (const candidate of doomed) {
        const job = await this.store.find(candidate.jobId);
        if (job !== undefined) dryRun.job(job);
      }
      this.deleted += doomed.length;
    }
  }

  /** The jobs that every limit lets go, in order of their end. */
  async *#batches(): AsyncGenerator<readonly CleanCandidate[]> {
    let cursor: CleanCandidate | undefined;
    while (!this.#fits()) {
      const before = this.limits.before ?? Number.MAX_SAFE_INTEGER;
      const candidates = await this.store.finishedBefore(before, BATCH, cursor);
      cursor = candidates.at(-1);
      if (cursor === undefined) return;
      const doomed: CleanCandidate[] = [];
      const overdue: Job[] = [];
      for (const candidate of await this.#withoutKept(candidates)) {
        if (this.#fits()) break;
        const bytes = this.limits.maxLogBytes === undefined ? 0 : this.#files.sizeOf(candidate);
        // Its end would make no room. Without any log it goes with them: a clean was killed before it took the row.
        if (this.limits.maxLogBytes !== undefined && bytes === 0 && this.#files.hasLogs(candidate)) continue;
        if (await this.#isHeld(candidate, overdue)) continue;
        this.#logBytes -= bytes;
        doomed.push(candidate);
      }
      if (overdue.length > 0)
        await (await import("../hooks/catch-up.ts")).catchUpHooks(this.context, overdue);
      if (doomed.length > 0) yield doomed;
    }
  }

  #fits(): boolean {
    return this.limits.maxLogBytes !== undefined && this.#logBytes <= this.limits.maxLogBytes;
  }

  async #withoutKept(candidates: readonly CleanCandidate[]): Promise<readonly CleanCandidate[]> {
    const { keep = 0 } = this.limits;
    if (keep === 0) return candidates;
    if (this.#firstKept.size > REMEMBERED_KEYS) this.#firstKept.clear();
    const runKeys = new Set(candidates.map((candidate) => candidate.runKey));
    const asked = [...runKeys].filter((runKey) => !this.#firstKept.has(runKey));
    // A job that ends meanwhile makes the true number larger: what is remembered keeps more, not less.
    const found = await this.store.firstKept(asked, keep);
    for (const runKey of asked) this.#firstKept.set(runKey, found.get(runKey));
    return candidates.filter(
      ({ runKey, attemptNo }) => attemptNo < (this.#firstKept.get(runKey) ?? Number.NEGATIVE_INFINITY),
    );
  }

  /**
   * A job that was ended and whose command still runs keeps its key from running twice; what a hook is told of must be there;
   * and who writes to a pipe would wait for ever for somebody to copy it on, if nobody could find it.
   */
  async #isHeld({ jobId, mayLive, hook, hasPipes }: CleanCandidate, overdue: Job[]): Promise<boolean> {
    if (hasPipes && this.#isWrittenTo(jobId)) {
      this.context.notify(
        `job ${jobId} is kept: a process that it has left behind still has its output open`,
      );
      return true;
    }
    if (!mayLive && hook !== "due") return false;
    const job = await this.store.find(jobId);
    if (job === undefined) return false;
    if (hook === "due") {
      overdue.push(job);
      this.context.notify(`job ${jobId} is kept: its --on-exit command has not ended yet`);
      return true;
    }
    if (hasOrphans(this.#orphans.find(job))) {
      this.context.notify(`job ${jobId} is kept: its command still runs`);
      return true;
    }
    // Its processes may have shed what can be seen from everywhere, the locks on their output. Where it was ended by its worker
    // that has said whether there are any, but for older versions, which took its word for it.
    if (job.status !== "LOST" && job.leftBehind === null) return false;
    if (!isOutOfSight(job, this.context.origin)) return false;
    this.context.notify(
      `job ${jobId} is kept: it ran in another PID namespace, and whether its command still runs cannot be seen from here; run clean where it ran`,
    );
    return true;
  }

  #isWrittenTo(jobId: string): boolean {
    return Object.values(pipeFiles(this.context.home, jobId)).some((path) => probeLock(path) === "held");
  }

  #deleteFiles(candidate: CleanCandidate): boolean {
    try {
      this.#files.remove(candidate);
      return true;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // What is left of it counts.
      if (this.limits.maxLogBytes !== undefined) this.#logBytes += this.#files.sizeOf(candidate);
      this.context.notify(`job ${candidate.jobId} is kept: ${error.message}`);
      return false;
    }
  }
}
