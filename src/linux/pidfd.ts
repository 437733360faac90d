/**
 * Processes by descriptor: pidfd_open(2). A descriptor never leads to another process that got the same pid, and it shows that
 * a process lives even if /proc hides it (hidepid=).
 */
import { isSameProcess, type ProcessIdentity } from "../job/job.ts";
import { ERRNO, lastErrno } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { closeFile } from "./file.ts";
import { pollFor, POLLIN } from "./poll.ts";
import { isLiving, readIdentity, readProcess } from "./self.ts";
import { statFd } from "./stat.ts";

// The numbers of newer calls are the same on every architecture.
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;

/** `unavailable`: the kernel has no pidfds (before 5.3), or does not give us one. */
type Handle = number | "gone" | "unavailable";

function openProcess(pid: number): Handle {
  const handle = Number(libc.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n));
  if (handle >= 0) return handle;
  const errno = lastErrno();
  // EINVAL and ENOENT: the number is a thread's.
  return errno === ERRNO.ESRCH || errno === ERRNO.EINVAL || errno === ERRNO.ENOENT ? "gone" : "unavailable";
}

/** Calls `use` with the descriptor of a process, and closes it afterwards. */
function withProcess<T>(pid: number, use: (handle: Handle) => T): T {
  const handle = openProcess(pid);
  try {
    return use(handle);
  } finally {
    if (typeof handle === "number") closeFile(handle);
  }
}

/** Before Linux 6.9 the pidfds of all processes, ours too, have this one inode. */
let shared: number | undefined;

/** 0 if it identifies no process. */
function inodeOf(handle: Handle): number {
  if (typeof handle !== "number") return 0;
  shared ??= withProcess(process.pid, (own) => (typeof own === "number" && statFd(own)?.inode) || 0);
  const inode = statFd(handle)?.inode ?? 0;
  return inode === shared ? 0 : inode;
}

/** A descriptor of exactly this process, which must be closed; it may be a zombie. Undefined if it is gone, or there is none. */
export function openMeant(identity: ProcessIdentity): number | undefined {
  const handle = openProcess(identity.pid);
  if (typeof handle !== "number") return undefined;
  if (isMeant(identity, handle) === true) return handle;
  closeFile(handle);
  return undefined;
}

/** What distinguishes a process from all others, even if /proc hides it. */
export function identify(pid: number): ProcessIdentity {
  return { ...readIdentity(pid), inode: withProcess(pid, inodeOf) };
}

/** Whether the process that has the pid is the one that was meant; undefined if nothing distinguishes them. */
function isMeant(identity: ProcessIdentity, handle: Handle): boolean | undefined {
  const holder = readProcess(identity.pid);
  if (holder !== undefined && identity.startTicks !== 0) return isSameProcess(holder, identity);
  const inode = inodeOf(handle);
  return identity.inode && inode ? inode === identity.inode : undefined;
}

/** Whether exactly this process lives. In doubt, if nothing distinguishes it from the process that has its pid, it does. */
export function lives(identity: ProcessIdentity): boolean {
  const holder = readProcess(identity.pid);
  if (holder !== undefined && identity.startTicks !== 0)
    return isLiving(holder) && isSameProcess(holder, identity);
  return withProcess(identity.pid, (handle) => {
    if (handle === "gone" || isMeant(identity, handle) === false) return false;
    if (holder !== undefined) return isLiving(holder);
    if (typeof handle === "number") return (pollFor([[handle, POLLIN]], 0)[0]! & POLLIN) === 0;
    return libc.kill(identity.pid, 0) === 0 || lastErrno() === ERRNO.EPERM;
  });
}

/** `refused`: it lives, but we may not signal it. */
export type Delivery = "sent" | "refused" | "gone";

/** Signals a process, and never another that got its pid: opens a descriptor first, and compares then. */
export function signalProcess(identity: ProcessIdentity, signal: number): Delivery {
  return withProcess(identity.pid, (handle) => {
    if (handle === "gone" || !(isMeant(identity, handle) ?? isOwnChild(identity.pid))) return "gone";
    if (typeof handle === "number") {
      if (Number(libc.syscall(SYS_PIDFD_SEND_SIGNAL, BigInt(handle), BigInt(signal), 0n, 0n)) === 0)
        return "sent";
      if (lastErrno() === ERRNO.ESRCH) return "gone";
    }
    // The kernel is old, or a filter (seccomp) refuses newer calls alone. Then the pid can be reused between the check and the
    // signal.
    if (libc.kill(identity.pid, signal) === 0) return "sent";
    return lastErrno() === ERRNO.ESRCH ? "gone" : "refused";
  });
}

/** Whether we may signal a process. */
export function maySignal(pid: number): boolean {
  return libc.kill(pid, 0) === 0;
}

/** A child of ours keeps its pid until we have reaped it: no other process can have it. */
function isOwnChild(pid: number): boolean {
  return readChildren("self")?.includes(pid) === true;
}

/** The children of a process, also zombies and those that /proc hides; undefined if they cannot be read. */
export function readChildren(pid: number | "self"): readonly number[] | undefined {
  const { readdirSync, readFileSync } = process.getBuiltinModule("node:fs");
  const children: number[] = [];
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1");
      for (const word of text.split(" ")) if (word !== "") children.push(Number(word));
    }
    return children;
  } catch {
    // The process is gone, or we may not look into it, or the kernel was built without CONFIG_PROC_CHILDREN.
    return undefined;
  }
}
