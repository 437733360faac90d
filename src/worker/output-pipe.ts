/**
 * The output of a job as a pipe: a FIFO that the command has open for reading and writing, and a copier that moves what comes
 * into the log. Whoever opens the command's /dev/stdout anew opens the FIFO, and truncates nothing. As the command itself could
 * read it, the end of its copier is no SIGPIPE: it waits when the FIFO is full, until another copier comes.
 *
 * splice(2) moves the bytes; they pass through nobody's memory. The kernel tells of new ones by a signal (see `listen`), and
 * under load is not even asked to.
 */
import { ERRNO, lastErrno, SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { lockDescriptor } from "../linux/file-lock.ts";
import {
  closeFile,
  makeFifo,
  moveUp,
  openFile,
  readInto,
  removeFile,
  seekToEnd,
  writeSome,
} from "../linux/file.ts";
import { Readiness } from "../linux/signals.ts";
import { debug } from "../state/debug.ts";

const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const F_SETPIPE_SZ = 1031;

/** What one call moves at most. */
const CHUNK_BYTES = 1_048_576;
/** Copied at once, it shows that a FIFO was about full: it becomes larger then. For one of these an ordinary user has room. */
const MUCH_BYTES = 65_536;
const LARGE_PIPE_BYTES = 1_048_576;
const BUFFER_BYTES = 65_536;

/** Between two looks at a FIFO that is written to, in ms: less signals, and less work for a line. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 16;
/** Where the log cannot be written (the disk is full, say). */
const TROUBLE_PAUSE_MS = 1_000;
/** As long as no time is over, the runtime would end for want of anything to wait for. */
const FOREVER_MS = 3_600_000;

/** Makes a FIFO, and opens it as the command is to have it. Whoever inherits the descriptor holds its lock. Throws SystemError. */
export function makeOutputPipe(path: string): number {
  makeFifo(path);
  const fd = moveUp(openFile(path, "both"));
  // Held by whatever inherits it, so that a descendant is seen for as long as it has the output open.
  lockDescriptor(fd, path);
  return fd;
}

/** One FIFO on its way into its log. */
export class PipeCopy {
  readonly #pipe: number;
  readonly #readiness: Readiness;
  /** Without it the runtime would end for want of anything to wait for. */
  readonly #keepAlive = setInterval(() => this.#look(), FOREVER_MS);
  readonly #ended = Promise.withResolvers<void>();
  #isEnded = false;
  #isPausing = false;
  #pause = FIRST_PAUSE_MS;
  #isLarge = false;
  #canSplice = true;
  /** Read, but not written yet, where the kernel does not move it. */
  #rest = new Uint8Array(0);

  /**
   * `log`: opened for writing, but not for appending, which splice(2) refuses; closed at the end. Throws SystemError ENOENT where
   * there is no FIFO any more.
   */
  constructor(
    readonly path: string,
    readonly log: number,
  ) {
    this.#pipe = openFile(path, "listen");
    this.#readiness = new Readiness(this.#pipe, () => this.#look());
  }

  /** Resolves when nobody has the FIFO open for writing any more, and all is in the log. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Copies from now on, whenever something comes. */
  begin(): void {
    this.#look();
  }

  /** Copies all that was written until now. False where the log cannot be written. */
  drain(): boolean {
    // What a daemon writes meanwhile, perhaps without end, is not waited for.
    for (let total = 0; total < LARGE_PIPE_BYTES && !this.#isEnded;) {
      const count = this.#copy();
      if (count === undefined) return false;
      if (count === 0) return true;
      total += count;
    }
    return true;
  }

  /** Leaves it as it is, or would be: nobody writes to it. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearInterval(this.#keepAlive);
    this.#readiness.close();
    closeFile(this.#pipe);
    try {
      // Before the log's lock is given back: whoever takes it then finds nothing to copy.
      removeFile(this.path);
    } catch (error) {
      // It stays for clean.
      if (!(error instanceof SystemError)) throw error;
      debug?.note("leaves a FIFO behind", error);
    }
    closeFile(this.log);
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
      // What came before the kernel was asked has no signal.
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
      this.#look();
    }, ms);
  }

  /** Returns how many bytes; 0 where there are none for now, or for ever; undefined where the log cannot be written. */
  #copy(): number | undefined {
    // Somebody may have truncated it, or written to it.
    seekToEnd(this.log);
    if (this.#canSplice) {
      const count = Number(
        libc.splice(this.#pipe, null, this.log, null, CHUNK_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK),
      );
      if (count > 0) return count;
      if (count === 0) {
        this.end();
        return 0;
      }
      const errno = lastErrno();
      if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return 0;
      if (errno !== ERRNO.EINVAL) return undefined;
      // So says a file system that cannot.
      this.#canSplice = false;
    }
    return this.#copyByHand();
  }

  #copyByHand(): number | undefined {
    try {
      if (this.#rest.length === 0) {
        const buffer = new Uint8Array(BUFFER_BYTES);
        this.#rest = buffer.subarray(0, readInto(this.#pipe, buffer));
        if (this.#rest.length === 0) {
          this.end();
          return 0;
        }
      }
    } catch (error) {
      if (error instanceof SystemError && error.errno === ERRNO.EAGAIN) return 0;
      throw error;
    }
    try {
      const count = writeSome(this.log, this.#rest);
      this.#rest = this.#rest.subarray(count);
      return count;
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** Refused where the user has many of them already: it was only about speed. */
  #enlarge(): void {
    if (this.#isLarge) return;
    this.#isLarge = true;
    libc.fcntl(this.#pipe, F_SETPIPE_SZ, LARGE_PIPE_BYTES);
  }
}
