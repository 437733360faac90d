/** A quick look whether a directory has anything in it: a module of its own, because every start and nearly every look does it. */
import { addressOf, cstring } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";

const O_CLOEXEC = 0o2000000;

/** See getdents64(2). */
const GETDENTS64 = process.arch === "arm64" ? 61n : 217n;

/** What `.` and `..` take of a buffer, and room for no longer name beside them. */
const DOTS_BYTES = 48;

/** Whether there is nothing in a directory, or no such directory. For who looks often, and seldom finds something. */
export function isEmptyDirectory(path: string): boolean {
  // Not openFile: why it fails is of no interest here, who reads the names will say it.
  const fd = libc.open(cstring(path), O_CLOEXEC, 0);
  if (fd < 0) return false;
  const buffer = new Uint8Array(DOTS_BYTES);
  const read = () =>
    Number(libc.syscall(GETDENTS64, BigInt(fd), BigInt(addressOf(buffer)), BigInt(buffer.length), 0n));
  const first = read();
  // Other names may follow. A name that is longer than the room is an error.
  const isEmpty = first === 0 || (first === DOTS_BYTES && read() === 0);
  libc.close(fd);
  return isEmpty;
}
