/** The files of finished jobs, for `clean`. */
import { END_HOOKS } from "../job/hook.ts";
import type { Instant } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import { removeFile } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { listLocks } from "../state/job-lock.ts";
import { statLog, readNames } from "../state/log-directory.ts";
import {
  hookLock,
  hookLog,
  lockFilePath,
  logFiles,
  outputIndexFile,
  pipeAndTailFiles,
  stdinFile,
} from "../state/paths.ts";
import type { CleanCandidate } from "../store/store.ts";

/**
 * Finds and deletes the files of finished jobs. It lists the directories once, to save system calls for files that do not exist.
 * For jobs that ended recently it does not use the list, because their files may be newer than the list.
 */
export class JobFiles {
  readonly #locks: ReadonlySet<string>;
  /** The names of all log files; undefined if there are more than LISTED_LOGS. */
  readonly #logs: ReadonlySet<string> | undefined;
  readonly #listedUntil = timeAgo(LATELY_MS);

  constructor(readonly context: Context) {
    this.#locks = new Set(listLocks(context.home.locks, 0));
    this.#logs = listLogs(context.home.logs);
  }

  /** Bytes of all its logs, with stdin copy and hook output. */
  sizeOf(candidate: CleanCandidate): number {
    return this.#presentLogs(candidate).reduce((sum, path) => sum + (statLog(path)?.size ?? 0), 0);
  }

  /** Whether any of its logs exists, even an empty one. */
  hasLogs(candidate: CleanCandidate): boolean {
    return this.#presentLogs(candidate).some((path) => statLog(path) !== undefined);
  }

  /** Deletes its files. Throws SystemError. */
  remove(candidate: CleanCandidate): void {
    for (const path of this.#presentLogs(candidate)) removeFile(path);
    if (candidate.hasPipes)
      for (const path of pipeAndTailFiles(this.context.home, candidate.jobId)) removeFile(path);
    if (this.#isListed(candidate) && candidate.hook === "none" && !this.#locks.has(candidate.jobId)) return;
    removeFile(lockFilePath(this.context.home, candidate.jobId));
    if (candidate.hook !== "none") removeFile(hookLock(this.context.home, candidate.jobId));
  }

  #presentLogs(candidate: CleanCandidate): readonly string[] {
    const { stdout, stderr } = logFiles(this.context.home, candidate.jobId);
    const paths = [stdout, stderr];
    if (candidate.hasPipes) paths.push(outputIndexFile(this.context.home, candidate.jobId));
    if (candidate.hasInput) paths.push(stdinFile(this.context.home, candidate.jobId));
    if (candidate.hook !== "none")
      paths.push(...END_HOOKS.map((kind) => hookLog(this.context.home, candidate.jobId, kind)));
    if (candidate.hasStallLog) paths.push(hookLog(this.context.home, candidate.jobId, "stall"));
    const known = this.#logs;
    if (known === undefined || !this.#isListed(candidate)) return paths;
    const isThere = (path: string) => known.has(path.slice(this.context.home.logs.length + 1));
    return paths.filter(isThere);
  }

  #isListed({ endedAt }: CleanCandidate): boolean {
    return endedAt < this.#listedUntil;
  }
}

function listLogs(directory: string): ReadonlySet<string> | undefined {
  const known = new Set<string>();
  for (const names of readNames(directory)) {
    for (const name of names) known.add(name);
    if (known.size > LISTED_LOGS) return undefined;
  }
  return known;
}

/** The instant `ms` milliseconds ago. */
export function timeAgo(ms: number): Instant {
  return now() - ms * 1000;
}

/** The most names of log files that are kept in memory. */
const LISTED_LOGS = 50_000;
/** Jobs that ended within this time count as recent, in ms. Longer than any clock step, except one made by hand. */
const LATELY_MS = 3_600_000;
