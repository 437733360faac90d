/** `clean`: deletes finished jobs with their logs. Files go before rows, so that the next clean finds what a killed one left. */
import type { Instant, Job } from "../job/job.ts";
import { SystemError } from "../linux/ffi/call.ts";
import type { Context } from "../state/context.ts";
import type { CleanCandidate, CleanedJob, FinishedFilter, JobStore } from "../store/store.ts";
import { KeptJobs } from "./clean-kept.ts";
import { type CleanSelection, findSelected } from "./clean-selection.ts";
import { JobFiles } from "./job-files.ts";
import { reportMissingDatabase } from "./missing-database.ts";
import { sweepOrphanedFiles } from "./orphaned-files.ts";

/** Jobs deleted in one transaction: many, so that each index page is written once for many jobs; few enough that other
 *  processes wait only some tenths of a second. */
const BATCH = 5_000;
const PROGRESS_STEP = 10_000;
/** How many run keys #firstKept caches before it is cleared. */
const REMEMBERED_KEYS = 20_000;

/** A job is deleted if every given limit allows it. */
export interface CleanLimits {
  /** Delete only jobs that ended before this time. */
  readonly before: Instant | undefined;
  /** Delete only these. Unless these are all jobs, files that belong to no job, and the copy of an old database, stay. */
  readonly selection: CleanSelection;
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

/** How many jobs the answer lists. */
const LISTED = 1_000;

export interface CleanResult {
  readonly deleted: number;
  readonly errors: number;
  readonly orphanedFiles: number;
  /** Jobs that stay because the registry of the fleet has yet to hear of them. */
  readonly keptUnpublished: number;
  /** The first of the jobs that were deleted, in order of their end. */
  readonly items: readonly CleanedJob[];
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
  const only = await findSelected(context, store, limits.selection);
  const isNarrow = only !== undefined;
  // A sweep also adds up the sizes of all logs, so with maxLogBytes it comes first, even if it may delete nothing.
  const sweep = async () => {
    const drop = isNarrow ? () => undefined : dryRun?.orphanedFile;
    const found = await sweepOrphanedFiles(context, store, { before: limits.before, dryRun: drop });
    return isNarrow ? { ...found, orphanedFiles: 0 } : found;
  };
  const first = limits.maxLogBytes === undefined ? undefined : await sweep();
  const cleaner = new Cleaner(context, store, limits, only, first?.logBytes ?? 0);
  if (dryRun === undefined) {
    await cleaner.deleteAll();
    await store.forgetRequests();
    if (!isNarrow) await store.discardOldCopy();
    await store.vacuum();
  } else {
    await cleaner.reportAll(dryRun);
  }
  const { orphanedFiles, errors } = first ?? (isNarrow ? NOTHING_SWEPT : await sweep());
  cleaner.kept.reportAttempts();
  const keptUnpublished = cleaner.kept.reportUnpublished();
  const { deleted, items, logBytes } = cleaner;
  return { deleted, items, logBytes, errors: cleaner.errors + errors, orphanedFiles, keptUnpublished };
}

const NOTHING_SWEPT = { orphanedFiles: 0, errors: 0 };

function nothingDone({ maxLogBytes }: CleanLimits): CleanResult {
  const logBytes = maxLogBytes === undefined ? undefined : 0;
  return { deleted: 0, ...NOTHING_SWEPT, keptUnpublished: 0, items: [], logBytes };
}

class Cleaner {
  readonly kept: KeptJobs;
  readonly #files: JobFiles;
  /** Cache of store.firstKept by run key; undefined: the key has no more jobs than to be kept. */
  readonly #firstKept = new Map<string, number | undefined>();
  #logBytes: number;
  deleted = 0;
  errors = 0;
  readonly items: CleanedJob[] = [];

  constructor(
    readonly context: Context,
    readonly store: JobStore,
    readonly limits: CleanLimits,
    readonly only: FinishedFilter | undefined,
    logBytes: number,
  ) {
    this.kept = new KeptJobs(context, store);
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
      this.#list(gone);
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
      this.#list(doomed);
      this.deleted += doomed.length;
    }
  }

  #list(jobs: readonly CleanCandidate[]): void {
    for (const { jobId, runKey, status, endedAt } of jobs.slice(0, LISTED - this.items.length))
      this.items.push({ jobId, runKey, status, endedAt });
  }

  /** The jobs that every limit allows to delete, in order of their end. */
  async *#batches(): AsyncGenerator<readonly CleanCandidate[]> {
    let cursor: CleanCandidate | undefined;
    while (!this.#fits()) {
      const before = this.limits.before ?? Number.MAX_SAFE_INTEGER;
      const candidates = await this.store.finishedBefore(before, BATCH, cursor, this.only);
      cursor = candidates.at(-1);
      if (cursor === undefined) return;
      const doomed: CleanCandidate[] = [];
      const isUnpublished = await this.kept.findUnpublished();
      const isAttempt = await this.kept.findAttempts();
      for (const candidate of await this.#withoutKept(candidates)) {
        if (this.#fits()) break;
        const bytes = this.limits.maxLogBytes === undefined ? 0 : this.#files.sizeOf(candidate);
        // Empty logs: deleting the job frees no space. But delete one without log files, which a killed clean has left.
        if (this.limits.maxLogBytes !== undefined && bytes === 0 && this.#files.hasLogs(candidate)) continue;
        if (isAttempt(candidate.jobId)) continue;
        // Before its files: the store would keep its row all the same.
        if (await isUnpublished?.(candidate.jobId)) continue;
        if (await this.kept.isKept(candidate)) continue;
        this.#logBytes -= bytes;
        doomed.push(candidate);
      }
      await this.kept.runOverdueHooks();
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
