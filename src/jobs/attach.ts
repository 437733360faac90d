/** `attach`: follows both streams of a job to its end, or returns what is new since two cursors in one bounded call. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import type { Encoding } from "../job/output.ts";
import { isActive } from "../job/status.ts";
import { turn } from "../linux/clock.ts";
import type { Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { LockWatch } from "../state/job-lock.ts";
import { GrowthWatch } from "../state/log-growth.ts";
import { lockFilePath, logFiles, LOG_STREAMS, type LogStream } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { followRun, notWhole } from "./follow-run.ts";
import { logSize, readLog } from "./logs.ts";
import { refresh } from "./reconcile.ts";
import { LONG_MS } from "./wait.ts";

/** The first byte to return of each stream. */
export type Cursors = Readonly<Record<LogStream, number>>;

/**
 * Copies both streams from the cursors on until the job has ended, or a signal comes; returns the job as it is then. Throws
 * `conflict` for a cursor beyond the end, and at the end if a log was deleted or truncated before it was copied; SystemError EPIPE
 * if a reader has gone.
 */
export async function attachToJob(
  context: Context,
  { store, job }: { readonly store: JobStore; readonly job: Job },
  from: Cursors,
  output: Readonly<Record<LogStream, number>>,
  interruption: Interruption,
): Promise<Job> {
  for (const stream of LOG_STREAMS)
    if (from[stream] > 0) checkCursor(job, stream, from[stream], logSize(context, job, stream));
  const routes = LOG_STREAMS.map((stream) => ({ stream, descriptor: output[stream], from: from[stream] }));
  let isWhole = true;
  const ended = await followRun(context, store, [job], routes, {
    isLeaving: () => Promise.resolve(interruption.signal !== undefined),
    restMs: () => Number.POSITIVE_INFINITY,
    // The error comes at the end: until then there may be more to show.
    onMissing(message) {
      context.notify(message);
      isWhole = false;
    },
  });
  if (!isWhole && !isActive(ended.status)) throw notWhole(ended);
  return ended;
}

export interface NewsRequest {
  readonly from: Cursors;
  /** At most this many bytes of each stream; at least LEAST_BYTES. */
  readonly maxBytes: number;
  /** How long to wait if nothing is new, in ms. */
  readonly waitMs: number;
}

/** The longest character of UTF-8: with fewer bytes, a cursor could never pass it. */
export const LEAST_BYTES = 4;

/** What a stream has from a cursor on. */
export interface StreamNews {
  readonly text: string;
  readonly encoding: Encoding;
  readonly from: number;
  /** The cursor for the next call. */
  readonly next: number;
  /** The stream has more already, which did not fit. */
  readonly more: boolean;
}

export interface News extends Readonly<Record<LogStream, StreamNews>> {
  readonly job: Job;
}

/**
 * Returns as soon as a stream has something new, the job has ended, the time is over, or a signal comes. It sleeps meanwhile and
 * does not poll. Throws `conflict` for a cursor beyond the end, and for a log that was deleted.
 */
export async function awaitNews(
  context: Context,
  { store, job }: { readonly store: JobStore; readonly job: Job },
  { from, maxBytes, waitMs }: NewsRequest,
  interruption: Interruption,
): Promise<News> {
  const deadline = performance.now() + waitMs;
  const logs = logFiles(context.home, job.jobId);
  const growth = new GrowthWatch(LOG_STREAMS.map((stream) => ({ path: logs[stream] })));
  const owner = new LockWatch(lockFilePath(context.home, job.jobId));
  try {
    let isLong = false;
    for (let current = job; ;) {
      // The status was read before the logs: what is read after the end is complete.
      const read = (stream: LogStream) => readNews(context, current, stream, from[stream], maxBytes);
      const news = { job: current, stdout: read("stdout"), stderr: read("stderr") };
      const isNew = LOG_STREAMS.some((stream) => news[stream].next > from[stream]);
      if (isNew || !isActive(current.status) || performance.now() >= deadline) return news;
      // Signals that came since the last check would not end the sleep.
      await turn();
      if (interruption.signal !== undefined) return news;
      if (isLong) store.disconnect();
      const rest = deadline - performance.now();
      growth.wait(owner, Math.max(0, Math.min(rest, isLong ? owner.slowCheckMs : LONG_MS)));
      isLong = true;
      current = await refresh(context, store, current);
    }
  } finally {
    owner.close();
    growth.close();
  }
}

function readNews(context: Context, job: Job, stream: LogStream, from: number, maxBytes: number): StreamNews {
  const { bytes, size } = readLog(context, job, stream, from, maxBytes);
  checkCursor(job, stream, from, size);
  const isLast = !isActive(job.status) && from + bytes.length >= size;
  const { text, encoding, length } = encodeChunk(bytes, isLast);
  return { text, encoding, from, next: from + length, more: from + bytes.length < size };
}

function checkCursor({ jobId }: Job, stream: LogStream, from: number, size: number): void {
  if (from <= size) return;
  throw new OrchesjobError(
    "conflict",
    `--${stream}-from ${from} is beyond the end of the ${stream} of job ${jobId}, which has ${size} ${size === 1 ? "byte" : "bytes"}: it was truncated, or the cursor is of another job`,
    `begin again: --${stream}-from 0`,
  );
}

/**
 * A part of a stream as text if it is UTF-8, otherwise as base64. A character that is cut off at the end is left for the next
 * part, unless this is the last one. `length`: how many of the bytes are in the text.
 */
export function encodeChunk(
  bytes: Uint8Array,
  isLast: boolean,
): { readonly text: string; readonly encoding: Encoding; readonly length: number } {
  const whole = isLast ? bytes : bytes.subarray(0, bytes.length - cutOff(bytes));
  try {
    // ignoreBOM: keeps a byte order mark, so that the text is the output unchanged.
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(whole);
    return { text, encoding: "utf-8", length: whole.length };
  } catch {
    return { text: bytes.toBase64(), encoding: "base64", length: bytes.length };
  }
}

/** How many bytes at the end are the beginning of a character whose rest is missing. */
function cutOff(bytes: Uint8Array): number {
  for (let count = 1; count < LEAST_BYTES && count <= bytes.length; count++) {
    const byte = bytes[bytes.length - count]!;
    // 0b10……: not the first byte of a character.
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > count ? count : 0;
  }
  return 0;
}
