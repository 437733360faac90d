/** `logs`: copies the output of a job, byte for byte, in constant memory. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { closeFile, openIfThere, readInto, seek } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";
import { Transfer } from "../linux/transfer.ts";
import type { Context } from "../state/context.ts";
import { logFiles, type LogStream } from "../state/paths.ts";

const CHUNK_BYTES = 262_144;
const NEWLINE = 10;

/**
 * Copies the present content of a stream to a descriptor, from the offset `from` on. It stops at the size that the log had at the
 * beginning, because a job that prints its own log would never end. Throws SystemError EPIPE if the reader has gone.
 */
export function copyLog(context: Context, job: Job, stream: LogStream, output: number, from: number): void {
  withLog(context, job, stream, (log, size) => {
    seek(log, from);
    const transfer = new Transfer(log, output, from);
    for (let copied = from; copied < size && !transfer.atEnd;) copied += transfer.step(size - copied);
  });
}

/** The offset of the last `lines` lines of a stream. A last line without a newline counts, too. */
export function findTail(context: Context, job: Job, stream: LogStream, lines: number): number {
  return (
    withLog(context, job, stream, (log, size) => {
      const buffer = new Uint8Array(CHUNK_BYTES);
      let missing = lines;
      for (let end = size; end > 0; end -= CHUNK_BYTES) {
        const begin = Math.max(0, end - CHUNK_BYTES);
        const chunk = readAt(log, begin, buffer.subarray(0, end - begin));
        for (
          let at = chunk.lastIndexOf(NEWLINE);
          at >= 0;
          at = at === 0 ? -1 : chunk.lastIndexOf(NEWLINE, at - 1)
        ) {
          // The newline at the very end closes the last line; it does not begin one.
          if (begin + at === size - 1) continue;
          missing -= 1;
          if (missing === 0) return begin + at + 1;
        }
        if (lines === 0) return size;
      }
      return 0;
    }) ?? 0
  );
}

export interface LogEnd {
  /** The bytes, in order. Each chunk is valid only until the next one is read. */
  readonly chunks: Iterable<Uint8Array>;
  /** The stream has more before this. */
  readonly truncated: boolean;
}

/** A finished job and the end of its output. */
export interface JobResult {
  readonly job: Job;
  readonly stdout: LogEnd;
  readonly stderr: LogEnd;
}

/** Calls `use` with the last `maxBytes` bytes of a stream, which can be read only inside it; in constant memory. */
export function withLogEnd(
  context: Context,
  job: Job,
  stream: LogStream,
  maxBytes: number,
  use: (end: LogEnd) => void,
): void {
  const isThere = withLog(context, job, stream, (log, size) => {
    const length = Math.min(size, maxBytes);
    use({ chunks: readChunks(log, size - length, length), truncated: size > length });
    return true;
  });
  if (isThere === undefined) use({ chunks: [], truncated: false });
}

function* readChunks(log: number, offset: number, length: number): Generator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(length, CHUNK_BYTES));
  for (let rest = length; rest > 0;) {
    const chunk = readAt(log, offset + length - rest, buffer.subarray(0, Math.min(rest, buffer.length)));
    // The log was truncated meanwhile.
    if (chunk.length === 0) return;
    yield chunk;
    rest -= chunk.length;
  }
}

function readAt(log: number, offset: number, buffer: Uint8Array): Uint8Array {
  seek(log, offset);
  let length = 0;
  while (length < buffer.length) {
    const count = readInto(log, buffer.subarray(length));
    if (count === 0) break;
    length += count;
  }
  return buffer.subarray(0, length);
}

/** Bytes that a stream has now. Throws `conflict` if its log was deleted. */
export function logSize(context: Context, job: Job, stream: LogStream): number {
  return withLog(context, job, stream, (_, size) => size) ?? 0;
}

/** Reads at most `maxBytes` bytes of a stream from the offset `from` on. Throws `conflict` if its log was deleted. */
export function readLog(
  context: Context,
  job: Job,
  stream: LogStream,
  from: number,
  maxBytes: number,
): { readonly bytes: Uint8Array; readonly size: number } {
  const read = (log: number, size: number) => {
    const length = Math.max(0, Math.min(size - from, maxBytes));
    return { bytes: readAt(log, from, new Uint8Array(length)), size };
  };
  return withLog(context, job, stream, read) ?? { bytes: new Uint8Array(0), size: 0 };
}

/** Whether a job is finished and its logs were created. */
export function wasOpened(job: Job): boolean {
  return !isActive(job.status) && job.target !== null;
}

/** The message for a log that was created, and is gone. */
export function describeGone(context: Context, { jobId }: Job, stream: LogStream): string {
  return `the ${stream} of job ${jobId} is gone: ${logFiles(context.home, jobId)[stream]} was deleted`;
}

/** The message for a log that was truncated after so many bytes were shown. */
export function describeCut({ jobId }: Job, stream: LogStream, bytes: number): string {
  return `the ${stream} of job ${jobId} was truncated (after ${bytes} ${bytes === 1 ? "byte" : "bytes"}); its new content follows, from the beginning`;
}

/** The message for a log that was truncated when it had bytes that were not shown yet. */
export function describeLoss({ jobId }: Job, stream: LogStream): string {
  return `the ${stream} of job ${jobId} was truncated before all of it was shown`;
}

/** Opens a log for `use`. Returns undefined if the job has not created it; throws `conflict` if it was deleted. */
function withLog<T>(
  context: Context,
  job: Job,
  stream: LogStream,
  use: (log: number, size: number) => T,
): T | undefined {
  const path = logFiles(context.home, job.jobId)[stream];
  const log = openIfThere(path);
  if (log === undefined && job.target === null) return undefined;
  if (log === undefined) throw new OrchesjobError("conflict", describeGone(context, job, stream));
  try {
    return use(log, statFd(log)?.size ?? 0);
  } finally {
    closeFile(log);
  }
}
