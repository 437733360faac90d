/** Who this process is, and what its caller gave it: read once from /proc, as bytes where bytes matter. */
import type { Origin, ProcessIdentity } from "../job/job.ts";
import { libc } from "./ffi/libc.ts";
import { readBytes, readLink, readTextIfAny } from "./file.ts";

/** The kernel, boot and PID namespace that this process's numbers belong to. */
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
  /** Those that have not ended; the first may have ended before the others. */
  readonly threads: number;
}

/** Whether there is such a process and it is alive. One whose first thread has ended looks like a zombie while others run on. */
export function isLiving(process: ProcessStat | undefined): process is ProcessStat {
  if (process === undefined || process.state === "X") return false;
  return process.state !== "Z" || process.threads > 1;
}

/** Whether we are the first process of a container (of a PID namespace): when we end, the kernel kills all others in it. */
function isFirstProcess(): boolean {
  return process.pid === 1;
}

/** What `docker run --init` and images put first in a container; each ends with the one command that it starts. */
const SMALL_INITS: readonly string[] = ["docker-init", "tini", "tini-static", "dumb-init", "catatonit"];

/**
 * Whether a container ends with us: we are its first process, or the command of a small init that is. An orphan becomes a child
 * of such a process, too, but never its first.
 */
export function isContainersCommand(): boolean {
  if (isFirstProcess()) return true;
  if (process.ppid !== 1) return false;
  if (!SMALL_INITS.includes(readTextIfAny("/proc/1/comm")?.trim() ?? "")) return false;
  return readTextIfAny("/proc/1/task/1/children")?.startsWith(`${process.pid} `) === true;
}

/** What the kernel says of a process; undefined where there is none of that number. See proc(5), /proc/PID/stat. */
export function readProcess(pid: number): ProcessStat | undefined {
  const text = readTextIfAny(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name stands in parentheses and may itself contain any character, so the fields are counted from its end.
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

export function readIdentity(pid: number): ProcessIdentity {
  return { pid, startTicks: readProcess(pid)?.startTicks ?? 0 };
}

/** Number of the first argument (1 for the first) that is not valid UTF-8; 0 where all are. */
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

/** Gives memory back to the system that a process which only waits has no use for, compiled code included: 2 ms. */
export function releaseMemory(): void {
  Bun.shrink();
}

/** Not process.exit: all output is written, the database needs no closing, and the way out of the runtime costs 0.4 ms. */
export function endProcess(code: number): never {
  libc._exit(code);
  throw new Error("the process goes on after its end");
}

/** Whether somebody sits before a descriptor of ours. */
export function isTerminal(fd: number): boolean {
  return process.getBuiltinModule("node:tty").isatty(fd);
}
