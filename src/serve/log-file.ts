/** Reads and searches a log in constant memory, whatever has been put in its place. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { describeGone } from "../jobs/logs.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile, readInto, seek } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";
import { logFiles, type LogStream } from "../state/paths.ts";

const CHUNK_BYTES = 65_536;
const NEWLINE = 10;

/** An open log. Close it. */
export interface LogFile {
  /** Undefined: the job has not created it. */
  readonly descriptor: number | undefined;
  /** Bytes that it had when it was opened. */
  readonly size: number;
}

/** Throws `conflict` if the log was deleted, or is something other than a file. */
export function openLog(context: Context, job: Job, stream: LogStream): LogFile {
  const path = logFiles(context.home, job.jobId)[stream];
  let descriptor: number;
  try {
    descriptor = openFile(path, "unfollowed");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.errno === ERRNO.ELOOP) throw notALog(path);
    if (error.errno !== ERRNO.ENOENT) throw error;
    if (job.target === null) return { descriptor: undefined, size: 0 };
    throw new OrchesjobError("conflict", describeGone(context, job, stream));
  }
  const facts = statFd(descriptor);
  if (facts?.kind === "file") return { descriptor, size: facts.size };
  closeFile(descriptor);
  throw notALog(path);
}

export function closeLog({ descriptor }: LogFile): void {
  if (descriptor !== undefined) closeFile(descriptor);
}

function notALog(path: string): OrchesjobError {
  return new OrchesjobError("conflict", `${path} is no file: something else was put in its place`);
}

/** Yields `length` bytes from an offset on, fewer if the log is truncated meanwhile. Each chunk is valid until the next. */
export function* readChunks({ descriptor }: LogFile, from: number, length: number): Generator<Uint8Array> {
  // The kernel refuses to seek to where no file can have bytes.
  if (descriptor === undefined || length === 0) return;
  const buffer = new Uint8Array(Math.min(length, CHUNK_BYTES));
  seek(descriptor, from);
  for (let read = 0; read < length;) {
    const count = readInto(descriptor, buffer.subarray(0, Math.min(buffer.length, length - read)));
    if (count === 0) return;
    yield buffer.subarray(0, count);
    read += count;
  }
}

export interface SearchOrder {
  readonly wanted: Uint8Array;
  readonly from: number;
  /** Most hits. */
  readonly limit: number;
  /** Most bytes to look through. */
  readonly maxBytes: number;
}

export interface Hit {
  /** Offset of its first byte. */
  readonly at: number;
  /** Offset of `line`. */
  readonly lineAt: number;
  /** The line that it is in, or the part around it. */
  readonly line: Uint8Array;
}

export interface SearchResult {
  readonly hits: readonly Hit[];
  /** Where to search on; undefined: all was searched. */
  readonly next: number | undefined;
}

/** How much of a line is shown before and after the beginning of a hit, in bytes. */
const BEFORE = 120;
const AFTER = 280;

/** Finds the bytes `wanted`; one hit for each line, or for each part of a long one. Lets others run between two chunks. */
export async function searchLog(log: LogFile, order: SearchOrder): Promise<SearchResult> {
  const { wanted, from, limit, maxBytes } = order;
  const hits: Hit[] = [];
  const end = Math.min(log.size, from + maxBytes);
  let position = from;
  const buffer = Buffer.alloc(CHUNK_BYTES * 4);
  while (position < end) {
    // Chunks overlap, so that what begins in one may end in the next.
    const chunk = readAt(log, position, buffer.subarray(0, Math.min(buffer.length, log.size - position)));
    if (chunk.length < wanted.length) break;
    let searched = 0;
    for (let at = chunk.indexOf(wanted); at >= 0; at = chunk.indexOf(wanted, searched)) {
      hits.push(showHit(log, position + at));
      const newline = chunk.indexOf(NEWLINE, at);
      searched = newline < 0 ? Math.min(chunk.length, at + AFTER) : newline + 1;
      if (hits.length === limit) return { hits, next: position + searched };
    }
    position += Math.max(searched, chunk.length - wanted.length + 1);
    await Bun.sleep(0);
  }
  return { hits, next: position >= end && position + wanted.length <= log.size ? position : undefined };
}

function showHit(log: LogFile, at: number): Hit {
  const begin = Math.max(0, at - BEFORE);
  const around = readAt(log, begin, Buffer.alloc(Math.min(BEFORE + AFTER, log.size - begin)));
  const lineBegin = around.lastIndexOf(NEWLINE, at - begin - 1) + 1;
  const newline = around.indexOf(NEWLINE, at - begin);
  const first = at === begin ? 0 : lineBegin;
  return { at, lineAt: begin + first, line: around.subarray(first, newline < 0 ? around.length : newline) };
}

function readAt({ descriptor }: LogFile, offset: number, buffer: Buffer): Buffer {
  if (descriptor === undefined) return buffer.subarray(0, 0);
  seek(descriptor, offset);
  let length = 0;
  while (length < buffer.length) {
    const count = readInto(descriptor, buffer.subarray(length));
    if (count === 0) break;
    length += count;
  }
  return buffer.subarray(0, length);
}
