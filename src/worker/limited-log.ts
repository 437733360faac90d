/**
 * A log that has a limit (`--max-log-bytes`). It gets the beginning of the output directly. When only the room for the end is
 * left, the output goes into a tail instead. When the command has ended, the log gets all of the tail if it fits, else a line that
 * says how many bytes are missing, and the last lines. So the log only grows, and an offset that a reader has stays true.
 */
import { SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile, readAll, seek, seekToEnd, touch, writeSome } from "../linux/file.ts";
import { debug } from "../state/debug.ts";
import type { TailFiles } from "../state/paths.ts";
import type { LogSink } from "./log-sink.ts";
import { LogTail } from "./log-tail.ts";

/** The end that is kept, in bytes; less if that is more than half of the limit. */
const END_BYTES = 1_048_576;
const NEWLINE = 10;

export interface LogEvents {
  /** The log now ends here, in bytes. */
  onCopied(end: number): void;
  /** From now on bytes are dropped. Called once at most. */
  onLimit(): void;
}

export class LimitedLog implements LogSink {
  readonly #tail: LogTail;
  /** How much the log gets directly. */
  readonly #beginning: number;
  #isReached = false;
  /** A part of the end is in the log, so nothing may come before the rest of it. */
  #isFinishing: boolean;
  #droppedBefore = 0;
  #droppedNow = 0;

  /** `log`: open for writing, but not for appending; `close` closes it. Throws SystemError. */
  constructor(
    readonly log: number,
    files: TailFiles,
    readonly maxBytes: number,
    readonly events: LogEvents,
  ) {
    const endBytes = Math.min(END_BYTES, Math.floor(maxBytes / 2));
    this.#beginning = maxBytes - endBytes;
    this.#tail = new LogTail(files, endBytes);
    this.#isFinishing = this.#tail.isThere && seekToEnd(log) > this.#tail.base;
  }

  get dropped(): number {
    return this.#droppedBefore + this.#droppedNow;
  }

  place() {
    if (this.#isFinishing && !this.finish()) return undefined;
    try {
      const size = seekToEnd(this.log);
      if (!this.#tail.isThere && size < this.#beginning)
        return { fd: this.log, room: this.#beginning - size };
      return this.#tail.place(size);
    } catch (error) {
      return noteFailure(error);
    }
  }

  took(fd: number, end: number): void {
    if (fd === this.log) return this.events.onCopied(end);
    // Whoever looks at the log sees when the last output came.
    touch(this.log);
    if (this.#isReached || this.#tail.base + this.#tail.total <= this.maxBytes) return;
    this.#isReached = true;
    this.events.onLimit();
  }

  finish(): boolean {
    if (!this.#tail.isThere) return true;
    try {
      const end = this.#end();
      for (let rest = end.subarray(this.#lengthOfWritten(end)); rest.length > 0;) {
        const size = seekToEnd(this.log);
        const count = writeSome(this.log, rest);
        rest = rest.subarray(count);
        this.#isFinishing = true;
        this.events.onCopied(size + count);
      }
      this.#tail.remove();
      this.#droppedBefore += this.#droppedNow;
      this.#droppedNow = 0;
      this.#isFinishing = false;
      return true;
    } catch (error) {
      return noteFailure(error) ?? false;
    }
  }

  close(): void {
    this.#tail.close();
    closeFile(this.log);
  }

  /** What the log gets when the command has ended. */
  #end(): Uint8Array {
    const { total, base } = this.#tail;
    const room = Math.max(0, this.maxBytes - base);
    if (total <= room) return this.#tail.last(total);
    const isLine = base === 0 || this.#read(base - 1, 1)[0] === NEWLINE;
    const describe = (bytes: number) =>
      new TextEncoder().encode(
        `${isLine ? "" : "\n"}[orchesjob: ${bytes} bytes are missing here: the log has reached --max-log-bytes ${this.maxBytes}]\n`,
      );
    const longest = describe(total).length;
    // With the byte before, which shows whether a line begins.
    const last = this.#tail.last(Math.max(0, room - longest) + 1);
    const newline = last.indexOf(NEWLINE);
    const hasLine = newline >= 0 && newline + 1 < last.length;
    const kept = last.subarray(hasLine ? newline + 1 : 1);
    this.#droppedNow = total - kept.length;
    return Buffer.concat([describe(this.#droppedNow), kept]);
  }

  /** How much of the end is in the log already, because a copier was killed when it wrote it, or the disk was full. */
  #lengthOfWritten(end: Uint8Array): number {
    const { base } = this.#tail;
    const length = seekToEnd(this.log) - base;
    if (length <= 0 || length > end.length) return 0;
    return Buffer.compare(this.#read(base, length), end.subarray(0, length)) === 0 ? length : 0;
  }

  /** What the log has there; less if it is shorter. */
  #read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const log = openFile(`/proc/self/fd/${this.log}`, "read");
    try {
      seek(log, offset);
      return bytes.subarray(0, readAll(log, bytes));
    } finally {
      closeFile(log);
    }
  }
}

function noteFailure(error: unknown): undefined {
  if (!(error instanceof SystemError)) throw error;
  debug?.note("cannot write the end of a log", error);
}
