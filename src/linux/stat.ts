/** Facts about files: statx(2). */
import { cstring, ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";

export interface FileStat {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, 0o7777. */
  readonly mode: number;
  readonly kind: "file" | "directory" | "fifo" | "link" | "socket" | "other";
  readonly size: number;
  readonly inode: number;
  /** Last write, in ms since 1970. */
  readonly modifiedAt: number;
  /** Number of names; 0 for an open file or directory that was deleted. */
  readonly links: number;
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;

/** By the type bits of a mode: inode(7). */
const KINDS: Readonly<Record<number, FileStat["kind"]>> = {
  0o100000: "file",
  0o040000: "directory",
  0o010000: "fifo",
  0o120000: "link",
  0o140000: "socket",
};

/** Facts about a path, symbolic links followed; undefined if nothing is there. */
export function statPath(path: string): FileStat | undefined {
  return statx(AT_FDCWD, path, 0);
}

/** Facts about what has this name, even a symbolic link; undefined if nothing is there. */
export function statName(path: string): FileStat | undefined {
  return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
}

/** Whether something is there that we can see. Asks for no error: the first one takes a process 200,000 instructions. */
export function isThere(path: string): boolean {
  return libc.statx(AT_FDCWD, cstring(path), 0, STATX_BASIC_STATS, new Uint32Array(64)) === 0;
}

/** Facts about an open descriptor. */
export function statFd(fd: number): FileStat | undefined {
  return statx(fd, "", AT_EMPTY_PATH);
}

// Unlike struct stat, struct statx has the same layout on every architecture: see statx(2).
function statx(fd: number, path: string, flags: number): FileStat | undefined {
  const words = new Uint32Array(64);
  if (libc.statx(fd, cstring(path), flags, STATX_BASIC_STATS, words) !== 0) {
    const errno = lastErrno();
    if (errno === ERRNO.ENOENT) return undefined;
    throw new SystemError(`cannot access ${path}`, errno);
  }
  // Words of 32 bits, the low one of a number first: both architectures are little-endian.
  const mode = words[7]!;
  return {
    links: words[4]!,
    uid: words[5]!,
    gid: words[6]!,
    mode: mode & 0o7777,
    kind: KINDS[mode & 0o170000] ?? "other",
    inode: words[9]! * 2 ** 32 + words[8]!,
    size: words[11]! * 2 ** 32 + words[10]!,
    modifiedAt: (words[29]! * 2 ** 32 + words[28]!) * 1000 + words[30]! / 1e6,
  };
}
