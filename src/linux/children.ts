/**
 * Our children, and how they end. A worker's include all descendants of its command whose parents have died (it is their
 * subreaper): while one of them lives the kernel says so, whatever /proc shows.
 */
import type { ProcessIdentity } from "../job/job.ts";
import { ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { readTextIfAny } from "./file.ts";
import { isLiving, readProcess } from "./self.ts";
import { SIGKILL } from "./signals.ts";
import { statPath } from "./stat.ts";

const WNOHANG = 1;
/** Includes children that fork(2) did not make: see clone(2). */
const WALL = 0x4000_0000;
const ANY_CHILD = -1;

/** How a child of ours ended: its exit code, or the number of the signal that ended it. */
export type ExitStatus = { readonly code: number } | { readonly signal: number };

/** The children whose end somebody waits for. */
const awaited = new Map<number, (status: ExitStatus) => void>();
let keepAlive: ReturnType<typeof setInterval> | undefined;

/** Reaps all children that have ended. Returns false if none is left: that is proof. */
export function reap(): boolean {
  const status = new Int32Array(1);
  for (;;) {
    const pid = libc.waitpid(ANY_CHILD, status, WNOHANG | WALL);
    if (pid === 0) return true;
    if (pid > 0) {
      const callback = awaited.get(pid);
      awaited.delete(pid);
      if (awaited.size === 0) stopWaiting();
      callback?.(decodeStatus(status[0]!));
      continue;
    }
    const errno = lastErrno();
    if (errno === ERRNO.ECHILD && awaited.size === 0) return false;
    if (errno !== ERRNO.EINTR) throw new SystemError("cannot wait for our children", errno);
  }
}

/** Decodes a status of waitpid(2), which is also field 52 of /proc/PID/stat. */
function decodeStatus(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff } : { signal };
}

/**
 * How a child of another process has ended that its parent has not reaped yet. Undefined if it lives, or is gone, or is
 * another user's: then the kernel does not say.
 */
export function readEnd(pid: number, parent: ProcessIdentity): ExitStatus | undefined {
  const found = readProcess(pid);
  const text = readTextIfAny(`/proc/${pid}/stat`);
  if (found === undefined || text === undefined || found.parentPid !== parent.pid) return undefined;
  if (isLiving(found)) return undefined;
  const uid = libc.geteuid();
  if (uid !== 0 && uid !== statPath(`/proc/${pid}`)?.uid) return undefined;
  return decodeStatus(Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[49]));
}

/** Calls back once, with how the child ended. Keeps this process alive until then, and costs nothing meanwhile. */
export function onExit(pid: number, callback: (status: ExitStatus) => void): void {
  if (awaited.size === 0) {
    // Keeps the event loop alive, and would find an exit whose signal was lost. Rarely, because the runtime collects garbage
    // each time.
    keepAlive = setInterval(reap, 3_600_000);
    process.on("SIGCHLD", reap);
  }
  awaited.set(pid, callback);
  reap();
}

function stopWaiting(): void {
  process.off("SIGCHLD", reap);
  clearInterval(keepAlive);
}

/** Kills a child. It keeps its pid until we have reaped it, so no other process is hit. */
export function killChild(pid: number): void {
  libc.kill(pid, SIGKILL);
}

/** Resolves when a child has ended, or after this many ms. */
export function nextEnd(timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      process.off("SIGCHLD", done);
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    process.on("SIGCHLD", done);
  });
}
