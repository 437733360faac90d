/** Finds the log that has filled a disk, if its job still runs, so that no `clean` may delete it. */
import { bytesText } from "../job/bytes.ts";
import { shellWord } from "../job/shell-word.ts";
import { probeLock } from "../linux/file-lock.ts";
import { jobOfLog, statLog, readNames } from "./log-directory.ts";
import { type Home, lockFilePath } from "./paths.ts";

/** A smaller log has not filled a disk. */
const LEAST_BYTES = 1024 ** 2;

/**
 * Describes the log to the user, with a hint; undefined if the largest log is not that of a running job. Reports no failure of
 * its own: the one that led here is reported already.
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
    // Its writer appends, so the job goes on at the new end.
    return `the largest log, ${bytesText(size)}, is that of job ${jobId}, which still runs; to empty it and let the job go on: truncate -s 0 ${shellWord(path)}`;
  } catch {
    return undefined;
  }
}
