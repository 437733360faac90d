/** When the disk is full: which log has filled it, where that is of a job that still runs, so that no `clean` may delete it. */
import { bytesText } from "../job/bytes.ts";
import { shellWord } from "../job/shell-word.ts";
import { probeLock } from "../linux/file-lock.ts";
import { jobOfLog, statLog, readNames } from "./log-directory.ts";
import { type Home, lockFilePath } from "./paths.ts";

/** A smaller one has not filled a disk. */
const LEAST_BYTES = 1024 ** 2;

/**
 * For a person, with the way out; undefined where the largest log is not of a job that runs. Whatever fails here: nothing is
 * said, for the failure that led here has been told.
 */
export function describeLargestLog(home: Home): string | undefined {
  try {
    let largest = { jobId: "", path: "", size: LEAST_BYTES };
    for (const names of readNames(home.logs)) {
      for (const name of names) {
        const path = `${home.logs}/${name}`;
        const jobId = jobOfLog(name);
        const size = jobId === undefined ? 0 : (statLog(path)?.size ?? 0);
        if (jobId !== undefined && size > largest.size) largest = { jobId, path, size };
      }
    }
    const { jobId, path, size } = largest;
    if (path === "" || probeLock(lockFilePath(home, jobId)) !== "held") return undefined;
    // It is open for append, so the job goes on at its new end.
    return `the largest log, ${bytesText(size)}, is of job ${jobId}, which runs; to empty it and let the job go on: truncate -s 0 ${shellWord(path)}`;
  } catch {
    return undefined;
  }
}
