/**
 * Copying from a file to a descriptor. The kernel does it by itself where it can (sendfile(2): no copy of ours, no buffer);
 * where it does not want to (a file opened for append, an old kernel and a terminal) the bytes go through a buffer.
 */
import { pollFor, POLLOUT, readInto, writeSome } from "./file.ts";
import { ERRNO, lastErrno, libc, SystemError } from "./libc.ts";

/** At a time, so that signals are heard in between. */
const CHUNK_BYTES = 1_048_576;
const BUFFER_BYTES = 131_072;

export class Transfer {
  #canSend = true;
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  /** Read, but not written yet. */
  #rest = new Uint8Array(0);

  /** From where the input stands. */
  constructor(
    readonly input: number,
    readonly output: number,
  ) {}

  /**
   * Copies a chunk; returns how many bytes, 0 only at the end of the input. `paused`: a signal may have come, because not
   * all could be written that was there, or nothing at all. Throws SystemError, EPIPE where the reader is gone.
   */
  step(): { readonly count: number; readonly paused: boolean; readonly atEnd: boolean } {
    if (this.#canSend) {
      const count = Number(libc.sendfile(this.output, this.input, null, CHUNK_BYTES));
      if (count >= 0) return { count, paused: count < CHUNK_BYTES, atEnd: count === 0 };
      const errno = lastErrno();
      if (errno === ERRNO.EPIPE) throw new SystemError("cannot write", errno);
      if (errno === ERRNO.EAGAIN) pollFor([[this.output, POLLOUT]], -1);
      if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return { count: 0, paused: true, atEnd: false };
      // Whatever else it is: it comes again, with its own words, or it was only about sendfile.
      this.#canSend = false;
    }
    this.#buffer ??= new Uint8Array(BUFFER_BYTES);
    if (this.#rest.length === 0) this.#rest = this.#buffer.subarray(0, readInto(this.input, this.#buffer));
    if (this.#rest.length === 0) return { count: 0, paused: false, atEnd: true };
    const count = writeSome(this.output, this.#rest);
    this.#rest = this.#rest.subarray(count);
    return { count, paused: this.#rest.length > 0, atEnd: false };
  }
}
