/**
 * The index of output that went through pipes: an entry for each read of the copier, with the time, the stream, and where that
 * stream's log ends since. An entry stands alone. If one is lost (a full disk, a killed copier), the next one of its stream covers
 * its bytes: an entry says when they had come at the latest.
 */
import type { Instant } from "../job/job.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile, readInto, writeSome } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";
import { debug } from "./debug.ts";
import { LOG_STREAMS, type LogStream } from "./paths.ts";

/** Two words of 64 bits: twice the time in ms, plus the number of the stream; the end of the log, in bytes. */
const ENTRY_BYTES = 16;
const READ_ENTRIES = 4_096;

/** Adds entries. A failure costs the entry, and nothing else. */
export class OutputIndex {
  #file: number | undefined;
  readonly #entry = new DataView(new ArrayBuffer(ENTRY_BYTES));
  readonly #bytes = new Uint8Array(this.#entry.buffer);

  constructor(path: string) {
    try {
      this.#file = openFile(path, "append");
      // Entries after half of one could not be read.
      if ((statFd(this.#file)?.size ?? 0) % ENTRY_BYTES !== 0) this.close();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      debug?.note("cannot open the index of the output", error);
    }
  }

  /** Notes that the log of a stream now ends at the offset `end`. */
  add(stream: LogStream, end: number): void {
    if (this.#file === undefined) return;
    this.#entry.setBigUint64(0, BigInt(2 * Date.now() + LOG_STREAMS.indexOf(stream)), true);
    this.#entry.setBigUint64(8, BigInt(end), true);
    try {
      const written = writeSome(this.#file, this.#bytes);
      if (written > 0 && written < ENTRY_BYTES) this.close();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      debug?.note("cannot write the index of the output", error);
    }
  }

  close(): void {
    if (this.#file !== undefined) closeFile(this.#file);
    this.#file = undefined;
  }
}

export interface Arrival {
  readonly stream: LogStream;
  /** When these bytes had come, at the latest. */
  readonly time: Instant;
  /** Where the log ended then. */
  readonly end: number;
}

/** Reads an index, also while it is written. */
export class OutputIndexReader {
  #file: number | undefined;
  readonly #buffer = new Uint8Array(READ_ENTRIES * ENTRY_BYTES);

  constructor(readonly path: string) {}

  /** Whether there is an index. */
  get isThere(): boolean {
    return this.#open() !== undefined;
  }

  /** Number of entries that it has now. */
  get length(): number {
    const file = this.#open();
    return file === undefined ? 0 : Math.floor((statFd(file)?.size ?? 0) / ENTRY_BYTES);
  }

  /** Yields the next entries, at most `limit`, until there are no more for now. */
  *read(limit = Number.POSITIVE_INFINITY): Generator<Arrival> {
    const file = this.#open();
    if (file === undefined) return;
    for (let rest = Math.min(limit, this.length - this.position); rest > 0;) {
      const wanted = this.#buffer.subarray(0, Math.min(rest, READ_ENTRIES) * ENTRY_BYTES);
      const count = readInto(file, wanted);
      const view = new DataView(wanted.buffer, 0, count);
      for (let offset = 0; offset + ENTRY_BYTES <= count; offset += ENTRY_BYTES) {
        this.position += 1;
        const first = Number(view.getBigUint64(offset, true));
        const end = Number(view.getBigUint64(offset + 8, true));
        // After a power cut, a file may end with zeros.
        if (first > 1) yield { stream: LOG_STREAMS[first % 2]!, time: Math.floor(first / 2) * 1_000, end };
      }
      if (count < wanted.length) return;
      rest -= count / ENTRY_BYTES;
    }
  }

  /** The number of the entry that is read next. */
  position = 0;

  close(): void {
    if (this.#file !== undefined) closeFile(this.#file);
    this.#file = undefined;
  }

  #open(): number | undefined {
    try {
      return (this.#file ??= openFile(this.path, "read"));
    } catch (error) {
      if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return undefined;
      throw error;
    }
  }
}
