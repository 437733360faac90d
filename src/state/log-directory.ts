/** What is in the directory of the logs: its names in portions, however many there are, and what a name says. */
import { type FileStat, statName } from "../linux/stat.ts";
import { addressOf, ERRNO, lastErrno, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { closeFile, openFile } from "../linux/file.ts";

/** getdents64(2). The C library has it as a call of its own only since glibc 2.30. */
const SYS_GETDENTS64 = process.arch === "arm64" ? 61n : 217n;

/** About 900 names of ours at a time. */
const BUFFER_BYTES = 65_536;

// struct linux_dirent64: u64 ino; s64 off; u16 reclen; u8 type; char name[].
const RECORD_LENGTH = 16;
const RECORD_NAME = 19;

/**
 * The names in a directory, in portions, in no order; none where there is no directory. Our own reading of it, because
 * node:fs has all names in memory at once. Throws SystemError.
 */
export function* readNames(path: string): Generator<readonly string[]> {
  let fd: number;
  try {
    fd = openFile(path, "read");
  } catch (error) {
    if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return;
    throw error;
  }
  const buffer = new Uint8Array(BUFFER_BYTES);
  try {
    for (;;) {
      const length = readEntries(path, fd, buffer);
      if (length === 0) return;
      yield decodeNames(buffer.subarray(0, length));
    }
  } finally {
    closeFile(fd);
  }
}

function readEntries(path: string, fd: number, buffer: Uint8Array): number {
  const length = Number(
    libc.syscall(SYS_GETDENTS64, BigInt(fd), BigInt(addressOf(buffer)), BigInt(buffer.length), 0n),
  );
  if (length < 0) throw new SystemError(`cannot read ${path}`, lastErrno());
  return length;
}

const decoder = new TextDecoder();

function decodeNames(entries: Uint8Array): string[] {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  const names: string[] = [];
  for (let start = 0; start < entries.length; start += view.getUint16(start + RECORD_LENGTH, true)) {
    const begin = start + RECORD_NAME;
    const name = decoder.decode(entries.subarray(begin, entries.indexOf(0, begin)));
    if (name !== "." && name !== "..") names.push(name);
  }
  return names;
}

const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const LOG_NAME = new RegExp(`^(${UUID})\\.(?:stdout|stderr|hook|stdin)$`);
const PIPE_NAME = new RegExp(`^(${UUID})\\.(?:stdout|stderr)$`);
const LOCK_NAME = new RegExp(`^(${UUID})(?:\\.hook)?$`);

/** The job whose log has this name; undefined for a name that is not of exactly the form that we, and the Python orchesjob, give. */
export function jobOfLog(name: string): string | undefined {
  return LOG_NAME.exec(name)?.[1];
}

/** The job that a FIFO of the output is of; undefined for a name that we do not give. */
export function jobOfPipe(name: string): string | undefined {
  return PIPE_NAME.exec(name)?.[1];
}

/** The job that a lock file of this name is of; undefined for a name that we do not give. */
export function jobOfLock(name: string): string | undefined {
  return LOCK_NAME.exec(name)?.[1];
}

/** Facts about a log file; undefined where none is there, or something else than a file. */
export function statLog(path: string): FileStat | undefined {
  try {
    const facts = statName(path);
    return facts?.kind === "file" ? facts : undefined;
  } catch (error) {
    if (error instanceof SystemError && error.errno === ERRNO.ENOTDIR) return undefined;
    throw error;
  }
}
