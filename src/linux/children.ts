/**
 * Our children, and how they end. A worker's include all descendants of its command whose parents have died (it is their
 * subreaper): while one of them lives the kernel says so, whatever /proc shows.
 */
import type { ProcessIdentity } from "../job/job.ts";
import type { Usage } from "../job/usage.ts";
import { ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { readTextIfAny } from "./file.ts";
import { readTransfer } from "./process-io.ts";
import { isLiving, readProcess } from "./self.ts";
import { SIGKILL } from "./signals.ts";
import { statPath } from "./stat.ts";

const WNOHANG = 1;
const WEXITED = 4;
/** Leaves the child as it is: it can be reaped afterwards. */
const WNOWAIT = 0x0100_0000;
/** Includes children that fork(2) did not make: see clone(2). */
const WALL = 0x4000_0000;
/** For waitid(2): any child. */
const P_ALL = 0;
/** siginfo_t, 128 bytes: the pid is the fifth word. */
const SIGINFO_WORDS = 32;
const PID_WORD = 4;
/** struct rusage, 144 bytes. */
const RUSAGE_WORDS = 36;

/** How a child of ours ended: its exit code, or the number of the signal that ended it. */
export type ExitStatus = { readonly code: number } | { readonly signal: number };

/** `usage`: of the child, and of those of its descendants that were waited for: see getrusage(2). */
type OnExit = (status: ExitStatus, usage: Usage) => void;

/** The children whose end somebody waits for. */
const awaited = new Map<number, OnExit>();
let keepAlive: ReturnType<typeof setInterval> | undefined;

/** Reaps all children that have ended. Returns false if none is left: that is proof. */
export function reap(): boolean {
  const found = new Int32Array(SIGINFO_WORDS);
  for (;;) {
    if (libc.waitid(P_ALL, 0, found, WEXITED | WNOHANG | WNOWAIT | WALL) === 0) {
      const pid = found[PID_WORD]!;
      if (pid === 0) return true;
      reapOne(pid);
      continue;
    }
    const errno = lastErrno();
    if (errno === ERRNO.ECHILD && awaited.size === 0) return false;
    if (errno !== ERRNO.EINTR) throw new SystemError("cannot wait for our children", errno);
  }
}

/** Reaps a child that has ended. */
function reapOne(pid: number): void {
  const callback = awaited.get(pid);
  // With the child its counters go.
  const transfer = callback && readTransfer(pid);
  const status = new Int32Array(1);
  const spent = new Int32Array(RUSAGE_WORDS);
  if (libc.wait4(pid, status, WNOHANG | WALL, spent) !== pid || transfer === undefined) return;
  awaited.delete(pid);
  if (awaited.size === 0) stopWaiting();
  callback!(decodeStatus(status[0]!), { ...decodeUsage(spent), ...transfer });
}

/** Seconds and microseconds in user and in kernel mode, then the resident set in KiB, each a long. */
function decodeUsage(spent: Int32Array): Pick<Usage, "cpuSeconds" | "maxRssBytes"> {
  const long = (index: number) => (spent[2 * index]! >>> 0) + spent[2 * index + 1]! * 2 ** 32;
  return {
    cpuSeconds: (1e6 * (long(0) + long(2)) + long(1) + long(3)) / 1e6,
    maxRssBytes: 1024 * long(4),
  };
}

/** Decodes a status of wait4(2), which is also field 52 of /proc/PID/stat. */
export function decodeStatus(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff } : { signal };
}

/**
 * How a child of another process has ended that its parent has not reaped yet. Undefined if it lives, or is gone, or is
 * another user's: then the kernel does not say.
 */
export function readEnd(pid: number, parent: ProcessIdentity): ExitStatus | undefined {
  return readProcess(pid)?.parentPid === parent.pid ? readZombie(pid) : undefined;
}

/** How a process has ended that nobody has reaped yet. Undefined if it lives, is gone, or is another user's. */
export function readZombie(pid: number): ExitStatus | undefined {
  const found = readProcess(pid);
  const text = readTextIfAny(`/proc/${pid}/stat`);
  if (found === undefined || text === undefined || isLiving(found)) return undefined;
  const uid = libc.geteuid();
  if (uid !== 0 && uid !== statPath(`/proc/${pid}`)?.uid) return undefined;
  return decodeStatus(Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[49]));
}

/** Calls back once, with how the child ended and what it has used. Keeps this process alive until then, and costs nothing meanwhile. */
export function onExit(pid: number, callback: OnExit): void {
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
