/** Makes pipes, FIFOs and files in memory. */
import { addressOf, cstring, retryCall } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { moveUp, seek, writeAll } from "./file.ts";

const O_CLOEXEC = 0o2000000;

/** Creates a FIFO (0600). Throws if the name is taken. */
export function makeFifo(path: string): void {
  const name = cstring(path);
  retryCall(`cannot create ${path}`, () => libc.mkfifo(name, 0o600));
}

/** Both ends of a new pipe, which no child inherits. */
export function makePipe(): { readonly read: number; readonly write: number } {
  const ends = new Int32Array(2);
  retryCall("cannot create a pipe", () => libc.pipe2(ends, O_CLOEXEC));
  return { read: ends[0]!, write: ends[1]! };
}

const SYS_MEMFD_CREATE = process.arch === "arm64" ? 279n : 319n;
const MFD_CLOEXEC = 1n;

/** Creates a file in memory with this content, to be read from its beginning; no child inherits it. See memfd_create(2). */
export function makeMemoryFile(content: Uint8Array): number {
  const name = cstring("orchesjob");
  const fd = moveUp(
    retryCall("cannot create a file in memory", () =>
      Number(libc.syscall(SYS_MEMFD_CREATE, BigInt(addressOf(name)), MFD_CLOEXEC, 0n, 0n)),
    ),
  );
  writeAll(fd, content);
  seek(fd, 0);
  return fd;
}
