/** The files of finished jobs. */
import type { Instant } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import { removeFile } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { listLocks } from "../state/job-lock.ts";
import { statLog, readNames } from "../state/log-directory.ts";
import { hookFiles, lockFilePath, logFiles, pipeFiles, stdinFile } from "../state/paths.ts";
import type { CleanCandidate } from "../store/store.ts";

/**
 * The files of finished jobs. They are listed once, so that none is asked for that is not there; but for jobs that ended
 * lately: their files may have come to be after the list.
 */
export class JobFiles {
  readonly #locks: ReadonlySet<string>;
  /** The names of all log files; undefined where they are too many to remember. */
  readonly #logs: ReadonlySet<string> | undefined;
  readonly #listedUntil = timeAgo(LATELY_MS);

  constructor(readonly context: Context) {
    this.#locks = new Set(listLocks(context.home.locks, 0));
    this.#logs = listLogs(context.home.logs);
  }

  /** Bytes of all its logs. */
  sizeOf(candidate: CleanCandidate): number {
    return this.#presentLogs(candidate).reduce((sum, path) => sum + (statLog(path)?.size ?? 0), 0);
  }

  /** Whether any of its logs is there, empty ones among them. */
  hasLogs(candidate: CleanCandidate): boolean {
    return this.#presentLogs(candidate).some((path) => statLog(path) !== undefined);
  }

  /** Throws SystemError. */
  remove(candidate: CleanCandidate): void {
    for (const path of this.#presentLogs(candidate)) removeFile(path);
    if (candidate.hasPipes)
      for (const path of Object.values(pipeFiles(this.context.home, candidate.jobId))) removeFile(path);
    if (this.#isListed(candidate) && candidate.hook === "none" && !this.#locks.has(candidate.jobId)) return;
    removeFile(lockFilePath(this.context.home, candidate.jobId));
    if (candidate.hook !== "none") removeFile(hookFiles(this.context.home, candidate.jobId).lock);
  }

  #presentLogs(candidate: CleanCandidate): readonly string[] {
    const { stdout, stderr } = logFiles(this.context.home, candidate.jobId);
    const paths = [stdout, stderr];
    if (candidate.hasInput) paths.push(stdinFile(this.context.home, candidate.jobId));
    if (candidate.hook !== "none") paths.push(hookFiles(this.context.home, candidate.jobId).log);
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

/** The time before which a job ended that ended so long ago (ms). */
export function timeAgo(ms: number): Instant {
  return now() - ms * 1000;
}
/** Up to so many log files are known by name, so that none is asked for that is not there. */
export const LISTED_LOGS = 50_000;
/** Larger than any step that a clock is set back by, but by hand, in ms. */
export const LATELY_MS = 3_600_000;
