/**
 * What doctor asks the system: the type of a file system, the room on it, whether we may write there, and whether the clock is
 * right.
 */
import { addressOf } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";

export interface FileSystem {
  /** Undefined if it is none of TYPES. */
  readonly type: string | undefined;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Both are 0 if it does not limit the number of files. */
  readonly freeFiles: number;
  readonly totalFiles: number;
}

/** By the type of statfs(2): network file systems, whose locks other machines may not see, and those in memory. */
const TYPES: Readonly<Record<number, string>> = {
  0x6969: "NFS",
  0xff534d42: "SMB",
  0xfe534d42: "SMB",
  0x517b: "SMB",
  0x01021997: "9p",
  0x65735546: "FUSE",
  0x00c36400: "Ceph",
  0x01021994: "tmpfs",
  0x858458f6: "ramfs",
};

/** Throws if the path does not exist. */
export function readFileSystem(path: string): FileSystem {
  const facts = process.getBuiltinModule("node:fs").statfsSync(path);
  return {
    type: TYPES[facts.type >>> 0],
    freeBytes: facts.bavail * facts.bsize,
    totalBytes: facts.blocks * facts.bsize,
    freeFiles: facts.ffree,
    totalFiles: facts.files,
  };
}

export function setMode(path: string, mode: number): void {
  process.getBuiltinModule("node:fs").chmodSync(path, mode);
}

/** Whether we may create files in a directory. */
export function mayWrite(directory: string): boolean {
  const { accessSync, constants } = process.getBuiltinModule("node:fs");
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** adjtimex(2), by architecture. */
const SYS_ADJTIMEX = process.arch === "arm64" ? 171n : 159n;
const TIME_ERROR = 5;
const TIMEX_BYTES = 256;

/** Whether the kernel considers its clock synchronized; undefined if it does not say. */
export function isClockKept(): boolean | undefined {
  // struct timex. Its first field, modes, is 0, so nothing is set. It is used after the call as well, so that the collector
  // keeps it: a number is no reference.
  const timex = new Uint8Array(TIMEX_BYTES);
  const state = Number(libc.syscall(SYS_ADJTIMEX, BigInt(addressOf(timex)), 0n, 0n, 0n));
  if (timex.length !== TIMEX_BYTES) return undefined;
  return state < 0 ? undefined : state !== TIME_ERROR;
}
