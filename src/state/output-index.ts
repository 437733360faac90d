/**
 * The index of output that went through pipes: an entry for each read of the copier, with the time, the stream, and where that
 * stream's log ends since. An entry stands alone. If one is lost (a full disk, a killed copier), the next one of its stream covers
 * its bytes: an entry says when they had come at the latest. So the index of a command that writes byte by byte for days need not
 * grow with each of them: when it is large, an entry stands for all that came within a second.
 */
import type { Instant } from "../job/job.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile, readInto, seek, writeSome } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";
import { debug } from "./debug.ts";
import { LOG_STREAMS, type LogStream } from "./paths.ts";

/** Two words of 64 bits: twice the time in ms, plus the number of the stream; the end of the log, in bytes. */
const ENTRY_BYTES = 16;
const READ_ENTRIES = 4_096;
/** An index of this size is large, in bytes: 65,536 entries. */
const LARGE_BYTES = 1_048_576;
/** A large one gets an entry of each stream once in this time, in ms. */
const PAUSE_MS = 1_000;

/** Adds entries. A failure costs the entry, and nothing else. */
export class OutputIndex {
  #file: number | undefined;
  #size = 0;
  /** What a large index has no entry of yet: the time in ms and the end of the log, the older stream first. */
  readonly #pending = new Map<LogStream, readonly [time: number, end: number]>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #entry = new DataView(new ArrayBuffer(ENTRY_BYTES));
  readonly #bytes = new Uint8Array(this.#entry.buffer);

  constructor(path: string) {
    try {
      this.#file = openFile(path, "debug");
      const facts = statFd(this.#file);
      // Entries after half of one could not be read.
      if (facts?.kind !== "file" || facts.size % ENTRY_BYTES !== 0) this.close();
      else this.#size = facts.size;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      debug?.note("cannot open the index of the output", error);
    }
  }

  /** Notes that the log of a stream now ends at the offset `end`. */
  add(stream: LogStream, end: number): void {
    if (this.#file === undefined) return;
    if (this.#size < LARGE_BYTES) return this.#write(stream, Date.now(), end);
    this.#pending.delete(stream);
    this.#pending.set(stream, [Date.now(), end]);
    this.#timer ??= setTimeout(() => this.flush(), PAUSE_MS);
  }

  /** Adds what is pending. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [stream, [time, end]] of this.#pending) this.#write(stream, time, end);
    this.#pending.clear();
  }

  #write(stream: LogStream, time: number, end: number): void {
    if (this.#file === undefined) return;
    this.#entry.setBigUint64(0, BigInt(2 * time + LOG_STREAMS.indexOf(stream)), true);
    this.#entry.setBigUint64(8, BigInt(end), true);
    try {
      const written = writeSome(this.#file, this.#bytes);
      this.#size += written;
      if (written > 0 && written < ENTRY_BYTES) this.close();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      debug?.note("cannot write the index of the output", error);
    }
  }

  close(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.flush();
    this.#file = undefined;
    closeFile(file);
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

  /** Number of entries that it has now. */
  get length(): number {
    const file = this.#open();
    return file === undefined ? 0 : Math.floor((statFd(file)?.size ?? 0) / ENTRY_BYTES);
  }

  /**
   * Yields the next entries, at most `limit`, until there are no more for now. If there are far more than `most`, only so many from
   * the beginning and from the end.
   */
  *read(limit: number, most: number): Generator<Arrival> {
    const rest = Math.min(limit, this.length - this.position);
    if (rest <= 2 * most) return yield* this.#read(rest);
    const end = this.position + rest;
    yield* this.#read(most);
    this.position = end - most;
    yield* this.#read(most);
  }

  *#read(count: number): Generator<Arrival> {
    const file = this.#open();
    if (file === undefined) return;
    seek(file, this.position * ENTRY_BYTES);
    for (let rest = count; rest > 0;) {
      const wanted = this.#buffer.subarray(0, Math.min(rest, READ_ENTRIES) * ENTRY_BYTES);
      const length = readInto(file, wanted);
      const view = new DataView(wanted.buffer, 0, length);
      for (let offset = 0; offset + ENTRY_BYTES <= length; offset += ENTRY_BYTES) {
        this.position += 1;
        const first = Number(view.getBigUint64(offset, true));
        const end = Number(view.getBigUint64(offset + 8, true));
        // After a power cut, a file may end with zeros.
        if (first > 1) yield { stream: LOG_STREAMS[first % 2]!, time: Math.floor(first / 2) * 1_000, end };
      }
      if (length < wanted.length) return;
      rest -= length / ENTRY_BYTES;
    }
  }

  /** The number of the entry that is read next. */
  position = 0;

  close(): void {
    if (this.#file !== undefined) closeFile(this.#file);
    this.#file = undefined;
  }

  #open(): number | undefined {
    return (this.#file ??= openIndex(this.path));
  }
}

/** Whether this is an index that can be read. */
export function isIndex(path: string): boolean {
  const file = openIndex(path);
  if (file !== undefined) closeFile(file);
  return file !== undefined;
}

/** Undefined if there is none, or something else in its place. */
function openIndex(path: string): number | undefined {
  try {
    const file = openFile(path, "listen");
    if (statFd(file)?.kind === "file") return file;
    closeFile(file);
    return undefined;
  } catch (error) {
    if (error instanceof SystemError && NO_FILE.includes(error.errno)) return undefined;
    throw error;
  }
}

const NO_FILE: readonly number[] = [ERRNO.ENOENT, ERRNO.ENXIO, ERRNO.ELOOP];
