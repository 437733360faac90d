/** Calls the C library: text and buffers in, errno out as a SystemError. */
import { type Pointer, ptr, read } from "bun:ffi";
import { libc } from "./libc.ts";

/** An enum, because the build puts its numbers where they are used. */
export enum ERRNO {
  EPERM = 1,
  ENOENT = 2,
  ESRCH = 3,
  EINTR = 4,
  ENXIO = 6,
  E2BIG = 7,
  ENOEXEC = 8,
  ECHILD = 10,
  EAGAIN = 11,
  ENOMEM = 12,
  EACCES = 13,
  EEXIST = 17,
  ENOTDIR = 20,
  EISDIR = 21,
  EINVAL = 22,
  ENFILE = 23,
  EMFILE = 24,
  ETXTBSY = 26,
  ENOSPC = 28,
  EROFS = 30,
  EPIPE = 32,
  ENOSYS = 38,
  ELOOP = 40,
  ECONNREFUSED = 111,
}

/** A call of the C library that failed. `message` is for the user: the action, the path, the system's own words. */
export class SystemError extends Error {
  override readonly name = "SystemError";

  constructor(
    /** What was tried, for the user: `cannot open /x`. */
    what: string,
    readonly errno: number,
    /** What was tried, for callers that need to know. */
    readonly action: "execute" | "enter" | "other" = "other",
  ) {
    super(`${what}: ${describeErrno(errno)}`);
  }
}

/** The error of the last call that returned -1; valid only directly after it. */
export function lastErrno(): number {
  return read.i32(libc.__errno_location() as Pointer, 0);
}

/** The system's words for an error number, in lower case: `no such file or directory`. */
export function describeErrno(errno: number): string {
  const text = String(libc.strerror(errno));
  return text.charAt(0).toLowerCase() + text.slice(1);
}

const encoder = new TextEncoder();

/** prctl(2) with one argument: memory, or a number. */
export function prctl(option: number, argument: Uint8Array | number): void {
  libc.prctl(option, argument as Uint8Array, 0n, 0n, 0n);
}

/** The address of memory of ours, for calls that take numbers. The memory must stay referenced until the call is over. */
export function addressOf(memory: NodeJS.TypedArray): number {
  return ptr(memory);
}

/** A text as a C string. Throws `SystemError` EINVAL if it contains a NUL, which C would take for its end. */
export function cstring(text: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError(JSON.stringify(text), ERRNO.EINVAL);
  return encoder.encode(text + "\0");
}

/** Repeats a call as long as signals interrupt it. Returns its result; throws `SystemError` with the action. */
export function retryCall(action: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = lastErrno();
    if (errno !== ERRNO.EINTR) throw new SystemError(action, errno);
  }
}
