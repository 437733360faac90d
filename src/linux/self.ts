/** What /proc says about this process, its arguments and other processes: as bytes where bytes matter. */
import type { Origin, ProcessIdentity } from "../job/job.ts";
import { libc } from "./ffi/libc.ts";
import { readBytes, readLink, readTextIfAny } from "./file.ts";

/** The host, boot and PID namespace in which this process's pids are valid. */
export function readOrigin(): Origin {
  return {
    host: readTextIfAny("/proc/sys/kernel/hostname")?.trim() ?? "",
    bootId: readTextIfAny("/proc/sys/kernel/random/boot_id")?.trim() ?? "",
    pidNamespace: readLink("/proc/self/ns/pid").replace(/\D/g, ""),
  };
}

export interface ProcessStat extends ProcessIdentity {
  /** One letter of proc(5): R, S, D, T, Z, … */
  readonly state: string;
  readonly parentPid: number;
  readonly processGroup: number;
  readonly session: number;
  /** Threads that have not ended; the first one may have ended before the others. */
  readonly threads: number;
}

/** Whether a process exists and lives. If its first thread has ended, it looks like a zombie while other threads run on. */
export function isLiving(process: ProcessStat | undefined): process is ProcessStat {
  if (process === undefined || process.state === "X") return false;
  return process.state !== "Z" || process.threads > 1;
}

/** Whether we are the first process of a container (of a PID namespace): when we end, the kernel kills all others in it. */
function isFirstProcess(): boolean {
  return process.pid === 1;
}

/** What `docker run --init` and images start first in a container; each ends with the one command that it starts. */
const SMALL_INITS: readonly string[] = ["docker-init", "tini", "tini-static", "dumb-init", "catatonit"];

/**
 * Whether a container ends with us: we are its first process, or the command of a small init that is. Orphans also become
 * children of an init, but never its first child.
 */
export function isContainersCommand(): boolean {
  if (isFirstProcess()) return true;
  if (process.ppid !== 1) return false;
  if (!SMALL_INITS.includes(readTextIfAny("/proc/1/comm")?.trim() ?? "")) return false;
  return readTextIfAny("/proc/1/task/1/children")?.startsWith(`${process.pid} `) === true;
}

/** What the kernel says of a process; undefined if there is none with that pid. See proc(5), /proc/PID/stat. */
export function readProcess(pid: number): ProcessStat | undefined {
  const text = readTextIfAny(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name is in parentheses and may contain any character, so the fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return {
    pid,
    state: fields[0] ?? "",
    parentPid: Number(fields[1]),
    processGroup: Number(fields[2]),
    session: Number(fields[3]),
    threads: Number(fields[17]),
    startTicks: Number(fields[19] ?? 0),
  };
}

/** The signals that are blocked and pending for the whole process, signal N as bit N - 1; none if it is gone. See proc(5). */
export function readPendingSignals(pid: number): bigint {
  const found = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(readTextIfAny(`/proc/${pid}/status`) ?? "");
  return found === null ? 0n : BigInt(`0x${found[1]}`);
}

export function readIdentity(pid: number): ProcessIdentity {
  return { pid, startTicks: readProcess(pid)?.startTicks ?? 0 };
}

/** Number of the first argument, from 1, that is not valid UTF-8; 0 if all are. */
export function findInvalidArgument(argv: readonly string[]): number {
  // Bun puts U+FFFD where it could not decode; only then is it worth asking the kernel for the bytes.
  if (!argv.join(" ").includes("\uFFFD")) return 0;
  const words = splitAtNul(readBytes("/proc/self/cmdline"));
  const own = words.slice(words.length - argv.length);
  return 1 + own.findIndex((word) => !isUtf8(word));
}

function splitAtNul(bytes: Uint8Array): Uint8Array[] {
  const words: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
    words.push(bytes.subarray(start, end));
    start = end + 1;
  }
  if (start < bytes.length) words.push(bytes.subarray(start));
  return words;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** The most memory that this process has had at a time (resident set), in bytes: see getrusage(2). */
export function peakMemory(): number {
  return 1024 * process.resourceUsage().maxRSS;
}

/** Gives memory that a waiting process does not need back to the system, compiled code included. Takes 2 ms. */
export function releaseMemory(): void {
  Bun.shrink();
}

/**
 * Ends the process. Not by process.exit: all output is written, the database needs no closing, and leaving the runtime costs
 * 0.4 ms.
 */
export function endProcess(code: number): never {
  libc._exit(code);
  throw new Error("the process goes on after its end");
}

/** Whether a descriptor of ours is a terminal. */
export function isTerminal(fd: number): boolean {
  return process.getBuiltinModule("node:tty").isatty(fd);
}
