/** Reads the directory of the logs, in portions, however many names it has, and finds out what a name means. */
import { type FileStat, statName } from "../linux/stat.ts";
import { addressOf, ERRNO, lastErrno, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { closeFile, openIfThere } from "../linux/file.ts";

/** getdents64(2). The C library has it as a call of its own only since glibc 2.30. */
const SYS_GETDENTS64 = process.arch === "arm64" ? 61n : 217n;

/** Room for about 900 of our names. */
const BUFFER_BYTES = 65_536;

// struct linux_dirent64: u64 ino; s64 off; u16 reclen; u8 type; char name[].
const RECORD_LENGTH = 16;
const RECORD_NAME = 19;

/**
 * Yields the names in a directory, in portions, in no order; none if there is no directory. Not by node:fs, which has all
 * names in memory at once. Throws SystemError.
 */
export function* readNames(path: string): Generator<readonly string[]> {
  const fd = openIfThere(path);
  if (fd === undefined) return;
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
const LOG_NAME = new RegExp(`^(${UUID})\\.(?:stdout|stderr|times|hook|failure-hook|stall-hook|stdin)$`);
const PIPE_NAME = new RegExp(`^(${UUID})\\.(?:stdout|stderr)(?:\\.tail(?:\\.before|\\.next)?)?$`);
const LOCK_NAME = new RegExp(`^(${UUID})(?:\\.hook|\\.keeper)?$`);

/** The job whose log has this name; undefined unless the name has exactly the form that we, and the Python orchesjob, give. */
export function jobOfLog(name: string): string | undefined {
  return LOG_NAME.exec(name)?.[1];
}

/** The job whose output FIFO, or the end of whose output, has this name; undefined for a name that we do not give. */
export function jobOfPipe(name: string): string | undefined {
  return PIPE_NAME.exec(name)?.[1];
}

/** The job whose lock file has this name; undefined for a name that we do not give. */
export function jobOfLock(name: string): string | undefined {
  return LOCK_NAME.exec(name)?.[1];
}

/** Facts about a log file; undefined if there is none, or something other than a file. Throws SystemError. */
export function statLog(path: string): FileStat | undefined {
  try {
    const facts = statName(path);
    return facts?.kind === "file" ? facts : undefined;
  } catch (error) {
    if (error instanceof SystemError && error.errno === ERRNO.ENOTDIR) return undefined;
    throw error;
  }
}
