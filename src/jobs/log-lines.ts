/** Reads the log of a stream line by line, as far as its index says that bytes have come. */
import type { Instant } from "../job/job.ts";
import { closeFile, openIfThere, readInto, seek } from "../linux/file.ts";
import { type FileStat, statFd } from "../linux/stat.ts";
import type { LogStream } from "../state/paths.ts";

const CHUNK_BYTES = 262_144;
/** A longer line comes in pieces, so that it need not fit into memory. */
const LONGEST_LINE = 65_536;
const NEWLINE = 10;

export interface Line {
  readonly stream: LogStream;
  /** When its last byte had come. */
  readonly time: Instant;
  /** With the newline, if it has one. Valid only until the next line is read. */
  readonly bytes: Uint8Array;
  /** It is not the first piece of its line. */
  readonly isContinued: boolean;
}

export class LogLines {
  #file: number | undefined;
  /** The first byte that is not read yet. */
  #position = 0;
  /** A line that is not whole yet. */
  #partial: Uint8Array = new Uint8Array(0);
  #partialTime: Instant = 0;
  #isContinued = false;
  /** Lines were skipped: the one at the position may have begun earlier. */
  #hasSkipped = false;

  constructor(
    readonly stream: LogStream,
    readonly path: string,
  ) {}

  get position(): number {
    return this.#position;
  }

  /** Facts about the log; undefined if it is not there. */
  get facts(): FileStat | undefined {
    const file = (this.#file ??= openIfThere(this.path));
    return file === undefined ? undefined : statFd(file);
  }

  /** Yields the lines that are whole with the bytes up to the offset `end`, which came at `time`. */
  *take(end: number, time: Instant): Generator<Line> {
    const file = (this.#file ??= openIfThere(this.path));
    if (file === undefined) return;
    if (this.#hasSkipped) this.#findBeginning(file);
    // Another position may have been set by the search.
    seek(file, this.#position);
    const buffer = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(0, end - this.#position)));
    while (this.#position < end) {
      const count = readInto(file, buffer.subarray(0, Math.min(buffer.length, end - this.#position)));
      // The log was truncated.
      if (count === 0) break;
      this.#position += count;
      this.#partialTime = time;
      yield* this.#split(buffer.subarray(0, count), time);
    }
    this.#position = Math.max(this.#position, end);
  }

  /** Passes over the bytes up to the offset `end`. */
  skip(end: number): void {
    this.#forget();
    this.#position = end;
    this.#hasSkipped = true;
  }

  /** Goes back to the beginning of a log that was truncated. Yields what is left of the last line. */
  *restart(): Generator<Line> {
    yield* this.rest();
    this.#position = 0;
    this.#hasSkipped = false;
  }

  /** Yields a last line that has no end. */
  *rest(): Generator<Line> {
    const bytes = this.#partial;
    if (bytes.length > 0) yield this.#line(bytes, this.#partialTime);
    this.#forget();
  }

  close(): void {
    if (this.#file !== undefined) closeFile(this.#file);
  }

  *#split(bytes: Uint8Array, time: Instant): Generator<Line> {
    let begin = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, begin)) {
      const tail = bytes.subarray(begin, at + 1);
      yield this.#line(this.#partial.length === 0 ? tail : Buffer.concat([this.#partial, tail]), time);
      this.#forget();
      begin = at + 1;
    }
    // Copied, because the buffer is used again.
    this.#partial = Buffer.concat([this.#partial, bytes.subarray(begin)]);
    if (this.#partial.length < LONGEST_LINE) return;
    yield this.#line(this.#partial, time);
    this.#partial = new Uint8Array(0);
    this.#isContinued = true;
  }

  #line(bytes: Uint8Array, time: Instant): Line {
    return { stream: this.stream, time, bytes, isContinued: this.#isContinued };
  }

  #forget(): void {
    this.#partial = new Uint8Array(0);
    this.#isContinued = false;
  }

  /** Goes back to where the line at the position begins, at most LONGEST_LINE bytes. */
  #findBeginning(file: number): void {
    this.#hasSkipped = false;
    const begin = Math.max(0, this.#position - LONGEST_LINE);
    const before = new Uint8Array(this.#position - begin);
    seek(file, begin);
    const count = readInto(file, before);
    // The log was truncated.
    if (count < before.length) return;
    this.#position = begin + before.lastIndexOf(NEWLINE) + 1;
  }
}
