/** Copies a job's output as it is written, until the job ends, in constant memory. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isAwaitingRetry } from "../job/retry.ts";
import { isActive } from "../job/status.ts";
import { turn } from "../linux/clock.ts";
import { closeFile, openIfThere, readInto, seek } from "../linux/file.ts";
import { findEventLoop } from "../linux/signals.ts";
import { statFd } from "../linux/stat.ts";
import { Transfer } from "../linux/transfer.ts";
import type { Context } from "../state/context.ts";
import { LockWatch } from "../state/job-lock.ts";
import { GrowthWatch } from "../state/log-growth.ts";
import { lockFilePath, logFiles, type LogStream } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { describeCut, describeGone, describeLoss, wasOpened } from "./logs.ts";
import { refresh } from "./reconcile.ts";
import { LONG_MS } from "./wait.ts";

/** Which stream of the job is copied where. */
export interface Route {
  readonly stream: LogStream;
  readonly descriptor: number;
  /** First byte to copy. */
  readonly from: number;
}

/** Most steps of a transfer between two checks of the job. */
const ROUNDS = 4;

/** Lets the caller control followJob. */
export interface FollowControl {
  /** Whether to return before the job's end. Called after each wake-up, also by a signal. */
  isLeaving(job: Job): Promise<boolean>;
  /** In how many ms isLeaving must be called again, even if nothing happens. */
  restMs(): number;
  /** Called at the end for a log that was deleted before it was opened, or truncated before all of it was copied. */
  onMissing(message: string): void;
}

export const NO_CONTROL: FollowControl = {
  isLeaving: () => Promise.resolve(false),
  restMs: () => Number.POSITIVE_INFINITY,
  onMissing: (message) => {
    throw new OrchesjobError("conflict", message);
  },
};

/**
 * Copies until the job has ended and everything is copied, or `control` makes it leave; returns the job as it is then.
 * Throws SystemError EPIPE if a reader has gone.
 */
export async function followJob(
  context: Context,
  store: JobStore,
  job: Job,
  routes: readonly Route[],
  control: FollowControl = NO_CONTROL,
): Promise<Job> {
  const logs = logFiles(context.home, job.jobId);
  const copiers: LogCopier[] = [];
  const onCut = (stream: LogStream, from: number) => context.notify(describeCut(job, stream, from));
  for (const route of routes) copiers.push(new LogCopier(logs[route.stream], route, onCut));
  const growth = new GrowthWatch(copiers);
  const owner = new LockWatch(lockFilePath(context.home, job.jobId));
  try {
    let isLong = false;
    for (let current = job; ;) {
      // Check for the end before reading: what is read after the end is complete.
      current = await refresh(context, store, current);
      if (await control.isLeaving(current)) return current;
      let copied = 0;
      for (const copier of copiers) copied += copier.copy();
      if (!isActive(current.status) && copied === 0) {
        for (const { isOpen, hasLost, route } of copiers)
          if (!isOpen && wasOpened(current)) control.onMissing(describeGone(context, current, route.stream));
          else if (hasLost) control.onMissing(describeLoss(current, route.stream));
        return current;
      }
      if (copied > 0) {
        isLong = false;
        growth.reset();
      } else {
        // Signals that came since the last check would not end the sleep.
        await turn();
        if (await control.isLeaving(current)) return current;
        if (isLong) store.disconnect();
        const longest = Math.min(isLong ? owner.slowCheckMs : LONG_MS, control.restMs());
        // There is no log before the time of the attempt.
        if (isAwaitingRetry(current) && !owner.isWritten) owner.wait(longest, true, [findEventLoop()]);
        else growth.wait(owner, longest);
        isLong = true;
      }
      await turn();
    }
  } finally {
    owner.close();
    growth.close();
    for (const copier of copiers) copier.close();
  }
}

/** How many of the last copied bytes are compared with the file, to detect truncation. */
const KNOWN_BYTES = 64;

/**
 * Copies one stream from its log file to a descriptor, and detects truncation: by the command itself (`echo x > /dev/stderr`) or
 * by a rotation (`copytruncate`). A truncated file is shorter than what was copied, or, if it has grown beyond that again, has
 * other bytes before the current position. If even those bytes are the same, the truncation goes unnoticed.
 * After a rename it keeps the renamed file, because the command still writes to that one.
 */
class LogCopier {
  #transfer: Transfer | undefined;
  /** The last bytes before the current position. */
  #known = new Uint8Array(0);
  /** The size of the file at the last look. */
  #size = 0;
  /** Whether it was truncated when it had bytes that were not copied yet. */
  hasLost = false;

  constructor(
    readonly path: string,
    readonly route: Route,
    /** Called when the file was truncated; `from`: how many bytes were copied before. */
    readonly onCut: (stream: LogStream, from: number) => void,
  ) {}

  get isOpen(): boolean {
    return this.#transfer !== undefined;
  }

  /** Copies what the file has now, at most a few megabytes; returns the number of bytes, 0 only if nothing is left. */
  copy(): number {
    this.#transfer ??= this.#open();
    if (this.#transfer === undefined) return 0;
    const transfer = this.#transfer;
    const end = this.#findCut(transfer);
    const begin = transfer.position;
    // Read before the bytes are copied: a reader that has seen them may truncate the file at once, and write others in their place.
    const tail = end > begin ? readAt(transfer, end) : this.#known;
    const total = this.#pump(transfer, end);
    if (transfer.position === end) this.#known = tail;
    // A signal has interrupted the copy.
    else if (transfer.position > begin) this.#known = readAt(transfer, transfer.position);
    return total;
  }

  /** Copies up to the offset `end`; returns the number of bytes. */
  #pump(transfer: Transfer, end: number): number {
    let total = 0;
    for (let rounds = 0; rounds < ROUNDS; rounds++) {
      total += transfer.step(Math.max(0, end - transfer.position));
      if (transfer.atEnd) break;
      // A signal came while the reader was slow: return, so that it is handled.
      if (transfer.paused) return Math.max(total, 1);
    }
    return total;
  }

  /** Goes back to the beginning if the file was truncated. Returns its size. */
  #findCut(transfer: Transfer): number {
    const size = statFd(transfer.input)?.size ?? 0;
    const { position } = transfer;
    const formerSize = this.#size;
    this.#size = size;
    if (size === position) return size;
    if (size > position && isEqual(this.#known, readAt(transfer, position, this.#known.length))) return size;
    this.hasLost ||= formerSize > position;
    this.onCut(this.route.stream, position);
    seek(transfer.input, 0);
    transfer.position = 0;
    this.#known = new Uint8Array(0);
    return size;
  }

  close(): void {
    if (this.#transfer !== undefined) closeFile(this.#transfer.input);
  }

  /** Undefined until the worker has created the log. */
  #open(): Transfer | undefined {
    const fd = openIfThere(this.path);
    if (fd === undefined) return undefined;
    seek(fd, this.route.from);
    return new Transfer(fd, this.route.descriptor, this.route.from);
  }
}

/** Reads up to `length` bytes before the offset `place`, and restores the position. */
function readAt({ input, position }: Transfer, place: number, length = KNOWN_BYTES): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.min(length, place));
  if (bytes.length === 0) return bytes;
  seek(input, place - bytes.length);
  const count = readInto(input, bytes);
  seek(input, position);
  return bytes.subarray(0, count);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
