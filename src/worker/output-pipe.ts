/**
 * The output of a job as a pipe: a FIFO that the command has open for reading and writing, and a copier that moves its bytes
 * into the log. A process that opens the command's /dev/stdout again opens the FIFO, and truncates nothing. The command is
 * itself a reader of the FIFO, so it gets no SIGPIPE when its copier dies: when the FIFO is full, it waits for another copier.
 *
 * splice(2) moves the bytes without a copy in user memory. The kernel announces new bytes by a signal (see Readiness); under
 * load the copier does not even ask for it.
 */
import { ERRNO, lastErrno, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { lockDescriptor } from "../linux/file-lock.ts";
import { closeFile, moveUp, openFile, readInto, removeFile, seekToEnd, writeSome } from "../linux/file.ts";
import { makeFifo } from "../linux/pipe.ts";
import { Readiness } from "../linux/readiness.ts";
import { debug } from "../state/debug.ts";
import type { LogSink } from "./log-sink.ts";

const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const F_SETPIPE_SZ = 1031;

/** Bytes that one call moves at most. */
const CHUNK_BYTES = 1_048_576;
/**
 * A call that copies this many bytes shows that the FIFO was about full: it is enlarged. Every user may have a pipe of the
 * larger size: pipe(7), pipe-max-size.
 */
const MUCH_BYTES = 65_536;
const LARGE_PIPE_BYTES = 1_048_576;
const BUFFER_BYTES = 65_536;

/** Pause between two looks at a FIFO that is being written to, in ms: fewer signals, and less work for each line. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 16;
/** Pause while the log cannot be written (a full disk, for example), in ms. */
const TROUBLE_PAUSE_MS = 1_000;
/** Interval of the timer that keeps the runtime alive, in ms. */
const FOREVER_MS = 3_600_000;

/**
 * Creates a FIFO and opens it as the command will have it. Every process that inherits the descriptor holds its lock. Throws
 * SystemError.
 */
export function makeOutputPipe(path: string): number {
  makeFifo(path);
  const fd = moveUp(openFile(path, "both"));
  // So we recognize a descendant as long as it has the output open.
  lockDescriptor(fd, path);
  return fd;
}

/** Copies one FIFO into its log. */
export class PipeCopy {
  readonly #pipe: number;
  readonly #readiness: Readiness;
  /** Without a timer the runtime would exit: it has nothing else to wait for. */
  readonly #keepAlive = setInterval(() => this.#look(), FOREVER_MS);
  readonly #ended = Promise.withResolvers<void>();
  #isEnded = false;
  #isPausing = false;
  #pause = FIRST_PAUSE_MS;
  #isLarge = false;
  #canSplice = true;
  /** Bytes that were read but not written yet, if splice(2) cannot move them. */
  #rest = new Uint8Array(0);

  /** `onReady`: bytes have come just now, and are not copied yet. Throws SystemError ENOENT if the FIFO does not exist any more. */
  constructor(
    readonly path: string,
    readonly sink: LogSink,
    readonly onReady: () => void,
  ) {
    this.#pipe = openFile(path, "listen");
    this.#readiness = new Readiness(this.#pipe, () => {
      if (this.#isPausing) return;
      onReady();
      this.#look();
    });
  }

  /** Resolves when no process has the FIFO open for writing any more, and all of it is in the log. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Whether it looks again in a moment. */
  get isPausing(): boolean {
    return this.#isPausing && !this.#isEnded;
  }

  /** Starts copying; from now on it copies whatever comes. */
  begin(): void {
    this.#look();
  }

  /** Copies what has come during a pause, so that it is in the log before what another stream has just now. */
  endPause(): void {
    if (this.#isPausing && !this.#isEnded) this.#copy();
  }

  /** Copies all that was written until now. Returns false if the log cannot be written. */
  drain(): boolean {
    // Do not wait for what a daemon writes meanwhile: it may write without end.
    for (let total = 0; total < LARGE_PIPE_BYTES && !this.#isEnded;) {
      const count = this.#copy();
      if (count === undefined) return false;
      if (count === 0) return true;
      total += count;
    }
    return true;
  }

  /** Copies as drain, and puts the end of a limited log into it. */
  conclude(): boolean {
    return this.drain() && (this.#isEnded || this.sink.finish());
  }

  /** Stops copying: closes and removes the FIFO, and closes the log. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearInterval(this.#keepAlive);
    this.#readiness.close();
    closeFile(this.#pipe);
    try {
      // Remove the FIFO before the log's lock is released: the next holder then finds nothing to copy.
      removeFile(this.path);
    } catch (error) {
      // `clean` deletes it.
      if (!(error instanceof SystemError)) throw error;
      debug?.note("leaves a FIFO behind", error);
    }
    this.sink.close();
    this.#ended.resolve();
  }

  #look(): void {
    if (this.#isEnded || this.#isPausing) return;
    const count = this.#copy();
    if (this.#isEnded) return;
    if (count === undefined) {
      debug?.note("cannot write a log; trying again");
      this.#lookAfter(TROUBLE_PAUSE_MS);
    } else if (count === 0) {
      this.#pause = FIRST_PAUSE_MS;
      // The kernel sends no signal for bytes that came before we asked.
      if (this.#readiness.ask()) this.#lookAfter(0);
    } else {
      const isMuch = count >= MUCH_BYTES;
      if (isMuch) this.#enlarge();
      this.#pause = isMuch ? FIRST_PAUSE_MS : Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
      this.#lookAfter(this.#pause);
    }
  }

  #lookAfter(ms: number): void {
    this.#isPausing = true;
    this.#readiness.rest();
    setTimeout(() => {
      this.#isPausing = false;
      if (ms === 0) this.onReady();
      this.#look();
    }, ms);
  }

  /**
   * Returns the number of bytes copied; 0 if there are none for now, or the FIFO has ended; undefined if the log cannot be
   * written.
   */
  #copy(): number | undefined {
    const place = this.sink.place();
    if (place === undefined) return undefined;
    const { fd, room } = place;
    // Another process may have truncated the log, or written to it.
    const begin = seekToEnd(fd);
    if (this.#canSplice) {
      const count = Number(
        libc.splice(
          this.#pipe,
          null,
          fd,
          null,
          Math.min(CHUNK_BYTES, room),
          SPLICE_F_MOVE | SPLICE_F_NONBLOCK,
        ),
      );
      if (count > 0) {
        this.sink.took(fd, begin + count);
        return count;
      }
      if (count === 0) return this.#finish();
      const errno = lastErrno();
      if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return 0;
      if (errno !== ERRNO.EINVAL) return undefined;
      // The file system of the log does not support splice(2).
      this.#canSplice = false;
    }
    return this.#copyByHand(place, begin);
  }

  /** No process has the FIFO open for writing any more. */
  #finish(): 0 | undefined {
    if (!this.sink.finish()) return undefined;
    this.end();
    return 0;
  }

  #copyByHand({ fd, room }: { fd: number; room: number }, begin: number): number | undefined {
    try {
      if (this.#rest.length === 0) {
        const buffer = new Uint8Array(BUFFER_BYTES);
        this.#rest = buffer.subarray(0, readInto(this.#pipe, buffer));
        if (this.#rest.length === 0) return this.#finish();
      }
    } catch (error) {
      if (error instanceof SystemError && error.errno === ERRNO.EAGAIN) return 0;
      throw error;
    }
    try {
      const count = writeSome(fd, this.#rest.subarray(0, room));
      this.#rest = this.#rest.subarray(count);
      if (count > 0) this.sink.took(fd, begin + count);
      return count;
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** Enlarges the FIFO. If the user has many large pipes already, the kernel refuses, which only costs speed. */
  #enlarge(): void {
    if (this.#isLarge) return;
    this.#isLarge = true;
    libc.fcntl(this.#pipe, F_SETPIPE_SZ, LARGE_PIPE_BYTES);
  }
}
