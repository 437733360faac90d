/**
 * Copies from a file to a descriptor. The kernel does it by itself if it can (sendfile(2): no copy of ours, no buffer). If it
 * refuses (a file opened for append, an old kernel and a terminal), the bytes go through a buffer.
 */
import { ERRNO, lastErrno, SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { readInto, writeSome } from "./file.ts";
import { pollFor, POLLOUT } from "./poll.ts";

/** Bytes at a time. A signal is handled in between, and ends a call that waits for a slow reader. */
const CHUNK_BYTES = 16_777_216;
const BUFFER_BYTES = 131_072;
/** Factor by which the runtime compiles later than usual: after hours of copying. */
const NEVER_COMPILE = 1_000_000;

export class Transfer {
  #canSend = true;
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  /** Bytes that were read but not written yet. */
  #rest = new Uint8Array(0);

  /** `from`: the position of the input. */
  constructor(
    readonly input: number,
    readonly output: number,
    from: number,
  ) {
    this.position = from;
    // The kernel does the work: compiling the loop around it would not make it faster, and takes 8 MB.
    Bun.unsafe.setJITPolicy(NEVER_COMPILE);
  }

  /** The last step found nothing left to read. */
  atEnd = false;
  /** A signal may have interrupted the last step: it could not write all that was there. */
  paused = false;
  /** Position of the byte that is read next, unless somebody truncates the input. */
  position: number;

  /** Copies a chunk, at most `limit` bytes of the input; returns how many bytes. Throws SystemError, EPIPE if the reader is gone. */
  step(limit = CHUNK_BYTES): number {
    this.atEnd = false;
    this.paused = false;
    const count = this.#canSend ? this.#send(Math.min(limit, CHUNK_BYTES)) : undefined;
    return count ?? this.#copy(Math.min(limit, BUFFER_BYTES));
  }

  /** Returns undefined if the kernel does not copy between these two. */
  #send(most: number): number | undefined {
    const count = Number(libc.sendfile(this.output, this.input, null, most));
    if (count >= 0) {
      this.atEnd = count === 0;
      this.paused = count < most;
      this.position += count;
      return count;
    }
    const errno = lastErrno();
    if (errno === ERRNO.EPIPE) throw new SystemError("cannot write", errno);
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) {
      if (errno === ERRNO.EAGAIN) pollFor([[this.output, POLLOUT]], -1);
      this.paused = true;
      return 0;
    }
    // Any other error concerns sendfile alone, or comes again with its own message.
    this.#canSend = false;
    return undefined;
  }

  #copy(most: number): number {
    this.#buffer ??= new Uint8Array(BUFFER_BYTES);
    if (this.#rest.length === 0) {
      this.#rest = this.#buffer.subarray(0, readInto(this.input, this.#buffer.subarray(0, most)));
      this.position += this.#rest.length;
    }
    this.atEnd = this.#rest.length === 0;
    if (this.atEnd) return 0;
    const count = writeSome(this.output, this.#rest);
    this.#rest = this.#rest.subarray(count);
    this.paused = this.#rest.length > 0;
    return count;
  }
}
