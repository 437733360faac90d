/** A connection to a Unix stream socket: unix(7). It blocks its caller, which may be a process of a few milliseconds. */
import { addressOf, ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { closeFile, readInto, writeSome } from "./file.ts";
import { POLLIN, POLLOUT, pollFor } from "./poll.ts";

const [SYS_SOCKET, SYS_CONNECT, SYS_GETSOCKNAME] =
  process.arch === "arm64" ? [198n, 203n, 204n] : [41n, 42n, 51n];
const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = BigInt(1 | 0o4000 | 0o2000000);
const BUFFER_BYTES = 65_536;

/** A socket that tries to connect, and the number of the error if that fails; 0 if it has connected. `path`: at most 107 bytes. */
function connect(path: string): { readonly descriptor: number; readonly errno: number } {
  const descriptor = Number(libc.syscall(SYS_SOCKET, BigInt(AF_UNIX), SOCK_STREAM_NONBLOCK_CLOEXEC, 0n, 0n));
  if (descriptor < 0) return { descriptor, errno: lastErrno() };
  // struct sockaddr_un: a family of 16 bits, then the path and a NUL.
  const address = new Uint8Array(110);
  address[0] = AF_UNIX;
  new TextEncoder().encodeInto(path, address.subarray(2));
  const at = BigInt(addressOf(address));
  const result = Number(libc.syscall(SYS_CONNECT, BigInt(descriptor), at, BigInt(address.length), 0n));
  return { descriptor, errno: result === 0 ? 0 : lastErrno() };
}

/** The path of a Unix socket, empty if it has none in the file system; undefined if the descriptor is no Unix socket. */
export function pathOfSocket(descriptor: number): string | undefined {
  const address = new Uint8Array(110);
  const length = new Uint32Array([address.length]);
  const pointers = [address, length].map((buffer) => BigInt(addressOf(buffer)));
  if (Number(libc.syscall(SYS_GETSOCKNAME, BigInt(descriptor), pointers[0]!, pointers[1]!, 0n)) !== 0)
    return undefined;
  if (address[0] !== AF_UNIX) return undefined;
  const end = address.indexOf(0, 2);
  return new TextDecoder().decode(address.subarray(2, end < 0 ? address.length : end));
}

/** Whether the process that listened on a socket is gone. */
export function isDeadSocket(path: string): boolean {
  const { descriptor, errno } = connect(path);
  if (descriptor >= 0) closeFile(descriptor);
  return errno === ERRNO.ECONNREFUSED;
}

export class UnixConnection {
  readonly #decoder = new TextDecoder();
  /** What has come after the last line. */
  #text = "";

  private constructor(readonly descriptor: number) {}

  /** Undefined if nobody listens, or too many wait to be heard. `path`: at most 107 bytes. */
  static open(path: string): UnixConnection | undefined {
    const { descriptor, errno } = connect(path);
    if (descriptor < 0) return undefined;
    if (errno === 0) return new UnixConnection(descriptor);
    closeFile(descriptor);
    return undefined;
  }

  /** Sends a line, and returns the line that answers it; undefined if none comes in time, in ms, or the other side is gone. */
  ask(line: string, timeoutMs: number): string | undefined {
    const end = performance.now() + timeoutMs;
    try {
      for (let rest = new TextEncoder().encode(`${line}\n`); rest.length > 0;) {
        if (!this.#await(POLLOUT, end)) return undefined;
        rest = rest.subarray(writeSome(this.descriptor, rest));
      }
      const buffer = new Uint8Array(BUFFER_BYTES);
      for (;;) {
        const length = this.#text.indexOf("\n");
        if (length >= 0) {
          const answer = this.#text.slice(0, length);
          this.#text = this.#text.slice(length + 1);
          return answer;
        }
        if (!this.#await(POLLIN, end)) return undefined;
        const count = readInto(this.descriptor, buffer);
        if (count === 0) return undefined;
        this.#text += this.#decoder.decode(buffer.subarray(0, count), { stream: true });
      }
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** False if the time is over. */
  #await(events: number, end: number): boolean {
    for (;;) {
      const rest = end - performance.now();
      if (rest <= 0) return false;
      // 0: a signal came.
      if (pollFor([[this.descriptor, events]], rest)[0] !== 0) return true;
    }
  }

  close(): void {
    closeFile(this.descriptor);
  }
}
