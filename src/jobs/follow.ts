/** Copies a job's output as it comes, until the job ends; in constant memory. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { ERRNO, SystemError } from "../linux/ffi/call.ts";
import { closeFile, openFile, readInto, seek } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";
import { Transfer } from "../linux/transfer.ts";
import type { Context } from "../state/context.ts";
import { LockWatch } from "../state/job-lock.ts";
import { GrowthWatch } from "../state/log-growth.ts";
import { lockFilePath, logFiles, type LogStream } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { describeGone, wasOpened } from "./logs.ts";
import { refresh } from "./reconcile.ts";
import { LONG_MS } from "./wait.ts";

/** Where a stream of the job goes. */
export interface Route {
  readonly stream: LogStream;
  readonly descriptor: number;
  /** First byte to copy. */
  readonly from: number;
}

/** Steps of a transfer between two looks at the job. */
const ROUNDS = 4;

/** What the follower has to do beside following. */
export interface FollowControl {
  /** Asked whenever something may have happened, a signal too: whether to leave before the end. */
  isLeaving(job: Job): Promise<boolean>;
  /** How long it may be left alone, in ms. */
  restMs(): number;
  /** Told at the end of a log that is not there. */
  onGone(message: string): void;
}

export const NO_CONTROL: FollowControl = {
  isLeaving: () => Promise.resolve(false),
  restMs: () => Number.POSITIVE_INFINITY,
  onGone: (message) => {
    throw new OrchesjobError("conflict", message);
  },
};

/**
 * Follows until the job has ended and everything is copied, or the control says so; returns the job as it is then.
 * Throws SystemError EPIPE where a reader has gone.
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
  const onCut = (stream: LogStream, from: number) =>
    context.notify(
      `the ${stream} of job ${job.jobId} was truncated (it had ${from} bytes); what follows is its new content, from the beginning`,
    );
  for (const route of routes) copiers.push(new LogCopier(logs[route.stream], route, onCut));
  const growth = new GrowthWatch(copiers);
  const owner = new LockWatch(lockFilePath(context.home, job.jobId));
  try {
    let isLong = false;
    for (let current = job; ;) {
      // The end is looked for before the output: what is read after it is all there is.
      current = await refresh(context, store, current);
      if (await control.isLeaving(current)) return current;
      let copied = 0;
      for (const copier of copiers) copied += copier.copy();
      if (!isActive(current.status) && copied === 0) {
        for (const copier of copiers)
          if (!copier.isOpen && wasOpened(current))
            control.onGone(describeGone(context, current, copier.route.stream));
        return current;
      }
      if (copied > 0) {
        isLong = false;
        growth.reset();
      } else {
        // What came while we looked would not end the sleep.
        await turn();
        if (await control.isLeaving(current)) return current;
        if (isLong) store.disconnect();
        growth.wait(owner, Math.min(isLong ? owner.slowCheckMs : LONG_MS, control.restMs()));
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

/** Lets signal handlers run. */
function turn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}

/** How many of the bytes that were shown last are compared with what is there now. */
const KNOWN_BYTES = 64;

/**
 * One stream on its way from the log file to a descriptor. Somebody may cut the file off meanwhile: the command itself
 * (`echo x > /dev/stderr`), or a rotation (`copytruncate`). It is then shorter than what was shown of it, or, where it has grown
 * beyond that already, has other bytes before the place that we have come to. Where even these are the same, nothing tells.
 * A file that was renamed stays ours: the command goes on writing to it, and not to a new one of the old name.
 */
class LogCopier {
  #transfer: Transfer | undefined;
  /** The last bytes before the place that we have come to. */
  #known = new Uint8Array(0);

  constructor(
    readonly path: string,
    readonly route: Route,
    /** Told when the file was cut off, after so many bytes. */
    readonly onCut: (stream: LogStream, from: number) => void,
  ) {}

  get isOpen(): boolean {
    return this.#transfer !== undefined;
  }

  /** Copies what is there, up to a few megabytes at a time; returns how many bytes, 0 only where nothing is left. */
  copy(): number {
    this.#transfer ??= this.#open();
    if (this.#transfer === undefined) return 0;
    const transfer = this.#transfer;
    const end = this.#findCut(transfer);
    const begin = transfer.position;
    // Read before the bytes are shown: whoever has seen them may cut the file off at once, and write others in their place.
    const tail = end > begin ? readAt(transfer, end) : this.#known;
    const total = this.#pump(transfer, end);
    if (transfer.position === end) this.#known = tail;
    // A signal has come in the middle.
    else if (transfer.position > begin) this.#known = readAt(transfer, transfer.position);
    return total;
  }

  /** Copies up to a byte of the file. */
  #pump(transfer: Transfer, end: number): number {
    let total = 0;
    for (let rounds = 0; rounds < ROUNDS; rounds++) {
      total += transfer.step(Math.max(0, end - transfer.position));
      if (transfer.atEnd) break;
      // A signal came while the reader was slow, and has to be heard.
      if (transfer.paused) return Math.max(total, 1);
    }
    return total;
  }

  /** Goes back to the beginning where the file is another than what was shown of it. Returns its size. */
  #findCut(transfer: Transfer): number {
    const size = statFd(transfer.input)?.size ?? 0;
    const { position } = transfer;
    if (size === position) return size;
    if (size > position && isEqual(this.#known, readAt(transfer, position, this.#known.length))) return size;
    this.onCut(this.route.stream, position);
    seek(transfer.input, 0);
    transfer.position = 0;
    this.#known = new Uint8Array(0);
    return size;
  }

  close(): void {
    if (this.#transfer !== undefined) closeFile(this.#transfer.input);
  }

  /** Undefined as long as the worker has not made it. */
  #open(): Transfer | undefined {
    try {
      const fd = openFile(this.path, "read");
      seek(fd, this.route.from);
      return new Transfer(fd, this.route.descriptor, this.route.from);
    } catch (error) {
      if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return undefined;
      throw error;
    }
  }
}

/** What is in the file before a place in it; the one that we have come to stays. */
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
