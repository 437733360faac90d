/**
 * Locks on files by flock(2). The kernel releases a lock when the last process that inherited its descriptor is gone, and
 * shows it across PID namespaces.
 */
import { OrchesjobError } from "../job/errors.ts";
import { describeErrno, ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { closeFile, openFile } from "./file.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/**
 * Takes the lock of a plain file, and creates the file if it is missing. Returns the descriptor, which must stay open;
 * undefined if another process has the lock.
 */
export function takeLock(path: string): number | undefined {
  const fd = openFile(path, "append");
  if (lockUnlessOwned(fd, path)) return fd;
  closeFile(fd);
  return undefined;
}

/** Locks an open file for as long as any process that inherits this descriptor has it open. */
export function lockDescriptor(fd: number, path: string): void {
  lockFile(fd, LOCK_EX, path);
}

/** As lockDescriptor, but does not wait; false if another process has the lock. */
export function tryLockDescriptor(fd: number, path: string): boolean {
  return lockFile(fd, LOCK_EX | LOCK_NB, path);
}

/** A probe (see probeLock) holds a lock for microseconds, or longer if the scheduler interrupts it. */
const PROBE_TRIES = 50;
const PROBE_PAUSE_MS = 2;

/** As tryLockDescriptor, but waits a moment for processes that only probe the lock (see probeLock): they do not own it. */
export function lockUnlessOwned(fd: number, path: string): boolean {
  for (let tries = 1; !tryLockDescriptor(fd, path); tries++) {
    if (tries === PROBE_TRIES) return false;
    Bun.sleepSync(PROBE_PAUSE_MS);
  }
  return true;
}

/** Releases the lock of an open file. */
export function unlockDescriptor(fd: number): void {
  libc.flock(fd, LOCK_UN);
}

/** Whether nobody owns the lock of an open file. Takes it, shared, until the file is closed: probes never see each other. */
export function isFree(fd: number, path: string): boolean {
  return lockFile(fd, LOCK_SH | LOCK_NB, path);
}

/**
 * `held`: a living process holds it. `free`: nobody does, and that is proof. `missing`: there is no such file, which proves
 * nothing.
 */
export function probeLock(path: string): "held" | "free" | "missing" {
  const fd = openIfAny(path);
  if (fd === undefined) return "missing";
  try {
    return isFree(fd, path) ? "free" : "held";
  } finally {
    closeFile(fd);
  }
}

export function openIfAny(path: string): number | undefined {
  try {
    return openFile(path, "listen");
  } catch (error) {
    if (error instanceof SystemError && (error.errno === ERRNO.ENOENT || error.errno === ERRNO.ENOTDIR))
      return undefined;
    throw error;
  }
}

/** False if LOCK_NB is set and another process holds the lock. */
function lockFile(fd: number, operation: number, path: string): boolean {
  for (;;) {
    if (libc.flock(fd, operation) === 0) return true;
    const errno = lastErrno();
    if (errno === ERRNO.EINTR) continue;
    if (errno === ERRNO.EAGAIN) return false;
    throw unsuitable(`cannot lock ${path}: ${describeErrno(errno)}`);
  }
}

export function unsuitable(message: string): OrchesjobError {
  return new OrchesjobError(
    "general",
    message,
    "the file system must support flock(2) and FIFOs: set ORCHESJOB_HOME to a directory on a local disk",
  );
}
