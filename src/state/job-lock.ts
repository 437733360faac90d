/**
 * The lock that proves that a job has an owner (docs/guarantees.md, 5). A job's lock file is locked from before its row exists
 * until its result is recorded: first by the launcher, then, through the inherited descriptor, by the worker. The kernel
 * releases the lock the moment the last of them is gone, however it ended, and shows it across PID namespaces. So a free lock
 * proves that both are gone, except in a copy of the state directory (see processes/liveness.ts).
 *
 * The file is a FIFO, so that those who wait for the job can sleep on it: it becomes readable when the command runs, and hangs
 * up when the owner is gone. (inotify would do, but closing it takes the kernel 5 to 15 ms.)
 */
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import {
  isFree,
  lockDescriptor,
  lockUnlessOwned,
  openIfAny,
  probeLock,
  unsuitable,
} from "../linux/file-lock.ts";
import { closeFile, moveUp, openFile, removeFile, writeAll } from "../linux/file.ts";
import { makeFifo } from "../linux/pipe.ts";
import { POLL_ENDED, pollFor, POLLIN } from "../linux/poll.ts";
import { statFd, statPath } from "../linux/stat.ts";

/** Creates a lock file and takes its lock; returns the descriptor, which must stay open. */
export function createLock(path: string): number {
  try {
    makeFifo(path);
  } catch (error) {
    // The file system has no FIFOs.
    if (error instanceof SystemError && error.errno === ERRNO.EPERM) throw unsuitable(error.message);
    throw error;
  }
  const fd = moveUp(openFile(path, "both"));
  try {
    lockDescriptor(fd, path);
  } catch (error) {
    closeFile(fd);
    removeFile(path);
    throw error;
  }
  return fd;
}

/**
 * Takes a lock that outlasts its owners, and creates its file if it is missing: others sleep on it as on a job's. Returns the
 * descriptor; undefined if another process has the lock.
 */
export function takeFifoLock(path: string): number | undefined {
  try {
    makeFifo(path);
  } catch (error) {
    if (!(error instanceof SystemError) || error.errno !== ERRNO.EEXIST) throw error;
  }
  const fd = moveUp(openFile(path, "both"));
  if (lockUnlessOwned(fd, path)) return fd;
  closeFile(fd);
  return undefined;
}

/** Names of the lock files in a directory that are older than `ageMs`. */
export function listLocks(directory: string, ageMs: number): readonly string[] {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  const oldest = Date.now() - ageMs;
  try {
    return readdirSync(directory).filter(
      (name) => (statPath(`${directory}/${name}`)?.modifiedAt ?? Infinity) < oldest,
    );
  } catch {
    // No directory, no locks.
    return [];
  }
}

/** Tells the processes that wait for the job that its command runs. */
export function announceRunning(lock: number): void {
  writeAll(lock, new Uint8Array(1));
}

/** fchmod(2). */
const SYS_FCHMOD = process.arch === "arm64" ? 52n : 91n;
const CLAIMED_MODE = 0o700n;
const CLAIMED = 0o100;

/** Marks the lock: its owner has won the claim of its job, and may execute the command. See isClaimed. */
export function markClaimed(lock: number): void {
  libc.syscall(SYS_FCHMOD, BigInt(lock), CLAIMED_MODE, 0n, 0n);
}

/** Whether a worker that has won the claim of its job holds the lock. False while the job is being accepted. */
export function isClaimed(path: string): boolean {
  const fd = openIfAny(path);
  if (fd === undefined) return false;
  try {
    const facts = statFd(fd);
    if (facts?.kind !== "fifo" || isFree(fd, path)) return false;
    // A worker of an older version sets no mark, but announces that its command runs.
    return (facts.mode & CLAIMED) !== 0 || (pollFor([[fd, POLLIN]], 0)[0]! & POLLIN) !== 0;
  } finally {
    closeFile(fd);
  }
}

/**
 * Whether a worker died that had won the claim of its job but recorded no result: nobody holds the lock, and the file still
 * exists.
 */
export function wasClaimed(path: string): boolean {
  const facts = statPath(path);
  return facts?.kind === "fifo" && (facts.mode & CLAIMED) !== 0 && probeLock(path) === "free";
}

/** Makes the owner look at the store, which has a request for it. False if nobody can be reached by this file. */
export function wakeOwner(path: string): boolean {
  try {
    const fd = openFile(path, "wake");
    try {
      // Somebody may have put another file there, whose first byte we would overwrite.
      if (statFd(fd)?.kind !== "fifo") return false;
      writeAll(fd, new Uint8Array(1));
    } finally {
      closeFile(fd);
    }
    return true;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

/** Longest sleep before another look, in ms. A look takes some ms of processor time, most of it to collect garbage. */
const SELDOM_MS = 120_000;
const SOON_MS = 1_000;

/** Sleeps on the lock file of a job; nothing wakes up meanwhile. */
export class LockWatch {
  #descriptor: number;
  #isWritten = false;

  /** Create it before reading the state that you wait for: then no change is missed. */
  constructor(path: string) {
    this.#descriptor = openIfAny(path) ?? -1;
  }

  /** How long to sleep at most before looking again, in ms: long if the owner's end wakes us, short if nothing does. */
  get slowCheckMs(): number {
    return this.#descriptor >= 0 ? SELDOM_MS : SOON_MS;
  }

  /**
   * Blocks until the owner is gone (or the command runs, if `untilRunning`), one of the other descriptors (-1: none) is
   * readable, a signal comes, or the time (ms) is over. Look again in any case. Returns whether it was told that the command
   * runs; this stays so, and ends no other sleep.
   */
  wait(timeoutMs: number, untilRunning: boolean, others: readonly number[] = []): boolean {
    const watched: [number, number][] = [[this.#descriptor, untilRunning ? POLLIN : 0]];
    for (const descriptor of others) watched.push([descriptor, POLLIN]);
    const [owner = 0] = pollFor(watched, timeoutMs);
    this.#note(owner);
    return (owner & POLLIN) !== 0;
  }

  /** Blocks until one of the owners is gone, as `wait` does. Returns the watches whose owners are. */
  static waitForAny(
    watches: readonly LockWatch[],
    timeoutMs: number,
    others: readonly number[],
  ): ReadonlySet<LockWatch> {
    const watched: [number, number][] = watches.map((watch) => [watch.#descriptor, 0]);
    for (const descriptor of others) watched.push([descriptor, POLLIN]);
    const events = pollFor(watched, timeoutMs);
    return new Set(watches.filter((watch, index) => watch.#note(events[index]!)));
  }

  /** Whether the owner is gone. */
  #note(events: number): boolean {
    this.#isWritten ||= (events & POLLIN) !== 0;
    if ((events & POLL_ENDED) === 0) return false;
    // Do not wait for this end again. If the job has not ended all the same (somebody deleted the database, for example), only
    // time helps.
    this.close();
    return true;
  }

  /** Whether a sleep with `untilRunning` was ended by a write. Others would end at once from then on. */
  get isWritten(): boolean {
    return this.#isWritten;
  }

  close(): void {
    if (this.#descriptor >= 0) closeFile(this.#descriptor);
    this.#descriptor = -1;
  }
}
