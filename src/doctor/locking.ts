/** Tests whether locks work on a file system. */
import { probeLock, unlockDescriptor } from "../linux/file-lock.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import { createLock } from "../state/job-lock.ts";

/**
 * Creates a FIFO in a directory, locks and unlocks it, checks that both are visible, and removes it. Returns what is wrong, or
 * undefined. Throws OrchesjobError or SystemError if the file system refuses.
 */
export function tryLocking(directory: string): string | undefined {
  const path = `${directory}/.doctor-${crypto.randomUUID()}`;
  const fd = createLock(path);
  try {
    if (probeLock(path) !== "held") return "a lock that was taken is not visible";
    unlockDescriptor(fd);
    return probeLock(path) === "free" ? undefined : "a lock that was released is still visible";
  } finally {
    closeFile(fd);
    removeFile(path);
  }
}
