/** `clean`: deletes finished jobs with their logs. Files go before rows, so that the next clean finds what a killed one left. */
import type { Instant, Job } from "../job/job.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { probeLock } from "../linux/file-lock.ts";
import { isThere } from "../linux/stat.ts";
import { isOutOfSight } from "../processes/liveness.ts";
import type { Context } from "../state/context.ts";
import { pipeFiles } from "../state/paths.ts";
import type { CleanCandidate, JobStore } from "../store/store.ts";
import { JobFiles } from "./job-files.ts";
import { reportMissingDatabase } from "./missing-database.ts";
import { sweepOrphanedFiles } from "./orphaned-files.ts";
import { hasOrphans, OrphanFinder } from "./reconcile.ts";

/** Jobs deleted in one transaction: many, so that each index page is written once for many jobs; few enough that other
 *  processes wait only some tenths of a second. */
const BATCH = 5_000;
const PROGRESS_STEP = 10_000;
/** How many run keys #firstKept caches before it is cleared. */
const REMEMBERED_KEYS = 20_000;

/** A job is deleted if every given limit allows it. At least one is given. */
export interface CleanLimits {
  /** Delete only jobs that ended before this time. */
  readonly before: Instant | undefined;
  /** Keep this many newest finished jobs of each run key. */
  readonly keep: number | undefined;
  /** Delete the oldest jobs until the logs of all jobs together have at most this many bytes. */
  readonly maxLogBytes: number | undefined;
}

/** Receives what would be deleted. */
export interface DryRun {
  job(job: Job): void;
  /** A log or lock file that belongs to no job. */
  orphanedFile(path: string): void;
}

export interface CleanResult {
  readonly deleted: number;
  readonly errors: number;
  readonly orphanedFiles: number;
  /** Bytes of the logs that are left; undefined without maxLogBytes. */
  readonly logBytes: number | undefined;
}

/** Deletes jobs; with `dryRun`, only reports them. Throws OrchesjobError. */
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
  // With maxLogBytes, sweep first: the sweep also adds up the sizes of all logs.
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
  /** Cache of store.firstKept by run key; undefined: the key has no more jobs than to be kept. */
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

  /** The jobs that every limit allows to delete, in order of their end. */
  async *#batches(): AsyncGenerator<readonly CleanCandidate[]> {
    let cursor: CleanCandidate | undefined;
    while (!this.#fits()) {
      const before = this.limits.before ?? Number.MAX_SAFE_INTEGER;
      const candidates = await this.store.finishedBefore(before, BATCH, cursor);
      cursor = candidates.at(-1);
      if (cursor === undefined) return;
      const doomed: CleanCandidate[] = [];
      const overdue: Job[] = [];
      const unpublished = await this.#findUnpublished();
      for (const candidate of await this.#withoutKept(candidates)) {
        if (this.#fits()) break;
        const bytes = this.limits.maxLogBytes === undefined ? 0 : this.#files.sizeOf(candidate);
        // Empty logs: deleting the job frees no space. But delete one without log files, which a killed clean has left.
        if (this.limits.maxLogBytes !== undefined && bytes === 0 && this.#files.hasLogs(candidate)) continue;
        // Before its files: the store would keep its row all the same.
        if (await unpublished?.(candidate.jobId)) continue;
        if (await this.#isKept(candidate, overdue)) continue;
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
    // The cache errs on the safe side: if jobs end meanwhile, it keeps more jobs, never fewer.
    const found = await this.store.firstKept(asked, keep);
    for (const runKey of asked) this.#firstKept.set(runKey, found.get(runKey));
    return candidates.filter(
      ({ runKey, attemptNo }) => attemptNo < (this.#firstKept.get(runKey) ?? Number.NEGATIVE_INFINITY),
    );
  }

  /** Whether the registry of the fleet has yet to hear of a job; undefined: it has all of them, or there is no fleet. */
  async #findUnpublished(): Promise<((jobId: string) => Promise<boolean>) | undefined> {
    if (!isThere(this.context.home.fleet)) return undefined;
    const publications = await this.store.publications();
    if ((await publications.count()) === 0) return undefined;
    return async (jobId) => {
      if ((await publications.pending(jobId)) === undefined) return false;
      this.context.notify(`job ${jobId} is kept: the registry of the fleet has yet to hear of it`);
      return true;
    };
  }

  /**
   * Whether a job must stay. Three reasons: processes of a job that ended early still run, so its row must block the key; its
   * hook has not run; a process still writes to its output pipe, and would block forever if nobody could find and copy it.
   */
  async #isKept({ jobId, mayLive, hook, hasPipes }: CleanCandidate, overdue: Job[]): Promise<boolean> {
    if (hasPipes && this.#isWrittenTo(jobId)) {
      this.context.notify(`job ${jobId} is kept: a process that it left behind still has its output open`);
      return true;
    }
    if (!mayLive && hook !== "due") return false;
    const job = await this.store.find(jobId);
    if (job === undefined) return false;
    if (hook === "due") {
      overdue.push(job);
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

  #isWrittenTo(jobId: string): boolean {
    return Object.values(pipeFiles(this.context.home, jobId)).some((path) => probeLock(path) === "held");
  }

  #deleteFiles(candidate: CleanCandidate): boolean {
    try {
      this.#files.remove(candidate);
      return true;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // Count the bytes that are left.
      if (this.limits.maxLogBytes !== undefined) this.#logBytes += this.#files.sizeOf(candidate);
      this.context.notify(`job ${candidate.jobId} is kept: ${error.message}`);
      return false;
    }
  }
}
