/** Files by descriptor, for the hot path. A function that fails throws SystemError, with the path if it knows it. */
import { cstring, ERRNO, lastErrno, retryCall, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { pollFor, POLLOUT } from "./poll.ts";

const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_NOCTTY = 0o400;
const O_APPEND = 0o2000;
const O_NONBLOCK = 0o4000;
/** Differs by architecture: asm/fcntl.h. */
const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000;
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;

const OPEN_FLAGS = {
  read: 0,
  /** Created if missing. */
  make: O_WRONLY | O_CREAT,
  /** Created if missing; every write goes to the end, whoever else writes. */
  append: O_WRONLY | O_CREAT | O_APPEND,
  /** As append, but opening never blocks, at a FIFO for example; a terminal does not become ours. */
  debug: O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY,
  /** A file that must exist, such as those of the kernel. */
  write: O_WRONLY,
  /** A FIFO as its reader and writer at once: opening never blocks, and keeps it open. */
  both: O_RDWR,
  /** A FIFO for reading, even if nobody has it open for writing: opening never blocks. */
  listen: O_NONBLOCK,
  /** A FIFO that a process has open for reading; throws if none has, or if the name is a symbolic link. */
  wake: O_WRONLY | O_NONBLOCK | O_NOFOLLOW,
  /** A file that others may have put there: opening never blocks; throws if the name is a symbolic link. */
  unfollowed: O_NONBLOCK | O_NOFOLLOW,
  /** A directory to return to; needs no permission to read it. */
  directory: O_PATH,
} as const;

/** Opens a file and returns its descriptor, which no child inherits. New files are the owner's alone (0600). */
export function openFile(path: string, how: keyof typeof OPEN_FLAGS): number {
  const name = cstring(path);
  return retryCall(`cannot open ${path}`, () => libc.open(name, OPEN_FLAGS[how] | O_CLOEXEC, 0o600));
}

/** Opens a file to read it; undefined if it does not exist. */
export function openIfThere(path: string): number | undefined {
  try {
    return openFile(path, "read");
  } catch (error) {
    if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return undefined;
    throw error;
  }
}

const F_DUPFD_CLOEXEC = 1030;

/** Descriptors for children are moved to this number and above, so that laying them out at 0, 1, … never overwrites one. */
const FIRST_HIGH_DESCRIPTOR = 20;

/** A second descriptor of the same open file, whose number no layout of a child uses. */
export function duplicateUp(fd: number): number {
  return retryCall("cannot duplicate a descriptor", () =>
    libc.fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH_DESCRIPTOR),
  );
}

/** Moves a descriptor to a number that no layout of a child uses, and closes the old one. */
export function moveUp(fd: number): number {
  const high = duplicateUp(fd);
  closeFile(fd);
  return high;
}

export function closeFile(fd: number): void {
  libc.close(fd);
}

/** Reads at most `buffer.length` bytes; 0 means the end. */
export function readInto(fd: number, buffer: Uint8Array): number {
  return retryCall("cannot read", () => Number(libc.read(fd, buffer, buffer.length)));
}

/** Reads until the buffer is full, or the file ends; returns the number of bytes. */
export function readAll(fd: number, buffer: Uint8Array): number {
  let length = 0;
  while (length < buffer.length) {
    const count = readInto(fd, buffer.subarray(length));
    if (count === 0) break;
    length += count;
  }
  return length;
}

/** Sets the position of a file, in bytes from its beginning. */
export function seek(fd: number, offset: number): void {
  retryCall("cannot seek", () => Number(libc.lseek(fd, offset, 0)));
}

const SEEK_END = 2;

/** Sets the position of a file to its end, and returns it. */
export function seekToEnd(fd: number): number {
  return retryCall("cannot seek", () => Number(libc.lseek(fd, 0, SEEK_END)));
}

/** Writes all bytes, and waits while the descriptor is full. Throws EPIPE if the reader is gone. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(writeSome(fd, rest));
}

/**
 * Writes some bytes and returns how many; 0 after a signal, or after waiting for a full descriptor. Throws EPIPE if the reader
 * is gone.
 */
export function writeSome(fd: number, bytes: Uint8Array): number {
  const written = Number(libc.write(fd, bytes, bytes.length));
  if (written >= 0) return written;
  const errno = lastErrno();
  if (errno === ERRNO.EAGAIN) pollFor([[fd, POLLOUT]], -1);
  else if (errno !== ERRNO.EINTR) throw new SystemError("cannot write", errno);
  return 0;
}

/** Buffer into which small files are read before they are copied: new memory for each would cost more than the reading. */
let scratch: Uint8Array | undefined;

/** Returns the content of a small file, for /proc and the like, whose sizes are not known in advance. */
export function readBytes(path: string): Uint8Array {
  const fd = openFile(path, "read");
  try {
    scratch ??= new Uint8Array(16_384);
    for (let length = 0; ;) {
      const count = readInto(fd, scratch.subarray(length));
      if (count === 0) return scratch.slice(0, length);
      length += count;
      if (length < scratch.length) continue;
      const larger: Uint8Array = new Uint8Array(scratch.length * 4);
      larger.set(scratch);
      scratch = larger;
    }
  } finally {
    closeFile(fd);
  }
}

const decoder = new TextDecoder();

/** As readBytes, as text; undefined if the file does not exist or may not be read. */
export function readTextIfAny(path: string): string | undefined {
  try {
    return decoder.decode(readBytes(path));
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** The target of a symbolic link, or an empty text if there is none. */
export function readLink(path: string): string {
  const buffer = new Uint8Array(4096);
  const length = Number(libc.readlink(cstring(path), buffer, buffer.length));
  return length < 0 ? "" : decoder.decode(buffer.subarray(0, length));
}

/** Creates one directory (0700). False if the name is taken. */
export function makeDirectory(path: string): boolean {
  if (libc.mkdir(cstring(path), 0o700) === 0) return true;
  const errno = lastErrno();
  if (errno === ERRNO.EEXIST) return false;
  throw new SystemError(`cannot create directory ${path}`, errno);
}

/** Runs `make`, which must be synchronous, under another umask than this process's own. */
export function withUmask<T>(umask: number, make: () => T): T {
  const own = libc.umask(umask);
  try {
    return make();
  } finally {
    libc.umask(own);
  }
}

/** Removes a file's name. False if there was none. */
export function removeFile(path: string): boolean {
  if (libc.unlink(cstring(path)) === 0) return true;
  const errno = lastErrno();
  if (errno === ERRNO.ENOENT || errno === ERRNO.ENOTDIR) return false;
  throw new SystemError(`cannot delete ${path}`, errno);
}

/** Gives a file another name, in place of a file that has it. Returns false if there is none to rename. */
export function renameFile(path: string, name: string): boolean {
  if (libc.rename(cstring(path), cstring(name)) === 0) return true;
  const errno = lastErrno();
  if (errno === ERRNO.ENOENT) return false;
  throw new SystemError(`cannot rename ${path}`, errno);
}

/** Sets the time of a file's last change to now, if we may. */
export function touch(fd: number): void {
  libc.futimens(fd, null);
}

/** Makes what was written to an open file durable. */
export function syncFile(fd: number, path: string): void {
  retryCall(`cannot sync ${path}`, () => libc.fsync(fd));
}

/** Gives a file a second name. Throws if that is taken. */
export function linkFile(path: string, second: string): void {
  const names = [cstring(path), cstring(second)] as const;
  retryCall(`cannot create ${second}`, () => libc.link(...names));
}

/** Makes a directory's entries durable. */
export function syncDirectory(path: string): void {
  const fd = openFile(path, "read");
  try {
    syncFile(fd, path);
  } finally {
    closeFile(fd);
  }
}
