/** Tries whether the file system of a directory keeps locks. */
import { probeLock, unlockDescriptor } from "../linux/file-lock.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import { createLock } from "../state/job-lock.ts";

/**
 * Makes a FIFO in a directory, locks it, looks whether the lock is seen, and removes all again. Returns what is wrong, or
 * undefined. Throws OrchesjobError or SystemError where the file system refuses.
 */
export function tryLocking(directory: string): string | undefined {
  const path = `${directory}/.doctor-${crypto.randomUUID()}`;
  const fd = createLock(path);
  try {
    if (probeLock(path) !== "held") return "a lock that was taken is not seen";
    unlockDescriptor(fd);
    return probeLock(path) === "free" ? undefined : "a lock that was released is still seen";
  } finally {
    closeFile(fd);
    removeFile(path);
  }
}
