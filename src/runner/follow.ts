/** Copies a job's output as it comes, until the job ends; in constant memory. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { closeFile, openFile, seek } from "../os/file.ts";
import { GrowthWatch } from "../os/growth.ts";
import { lockFilePath, logFiles } from "../os/home.ts";
import { ERRNO, SystemError } from "../os/libc.ts";
import { LockWatch } from "../os/lock.ts";
import { Transfer } from "../os/transfer.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import type { LogStream } from "./logs.ts";
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
export interface Errand {
  /** Asked whenever something may have happened, a signal too: whether to leave before the end. */
  isLeaving(job: Job): Promise<boolean>;
  /** How long it may be left alone, in ms. */
  restMs(): number;
}

const NO_ERRAND: Errand = { isLeaving: () => Promise.resolve(false), restMs: () => Number.POSITIVE_INFINITY };

/**
 * Follows until the job has ended and everything is copied, or the errand says so; returns the job as it is then.
 * Throws SystemError EPIPE where a reader has gone.
 */
export async function followJob(
  context: Context,
  store: JobStore,
  job: Job,
  routes: readonly Route[],
  errand: Errand = NO_ERRAND,
): Promise<Job> {
  const logs = logFiles(context.home, job.jobId);
  const taps: Tap[] = [];
  for (const route of routes) taps.push(new Tap(logs[route.stream], route));
  const growth = new GrowthWatch(taps);
  const owner = new LockWatch(lockFilePath(context.home, job.jobId));
  try {
    let isLong = false;
    for (let current = job; ;) {
      // The end is looked for before the output: what is read after it is all there is.
      current = await refresh(context, store, current);
      if (await errand.isLeaving(current)) return current;
      let copied = 0;
      for (const tap of taps) copied += tap.copy();
      if (!isActive(current.status) && copied === 0) return current;
      if (copied > 0) {
        isLong = false;
        growth.reset();
      } else {
        // What came while we looked would not end the sleep.
        await turn();
        if (await errand.isLeaving(current)) return current;
        if (isLong) store.rest();
        growth.wait(owner, Math.min(isLong ? owner.slowCheckMs : LONG_MS, errand.restMs()));
        isLong = true;
      }
      await turn();
    }
  } finally {
    owner.close();
    growth.close();
    for (const tap of taps) tap.close();
  }
}

/** Lets signal handlers run. */
function turn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}

/** One stream on its way from the log file to a descriptor. */
class Tap {
  #transfer: Transfer | undefined;

  constructor(
    readonly path: string,
    readonly route: Route,
  ) {}

  /** Copies what is there, up to a few megabytes at a time; returns how many bytes, 0 only where nothing is left. */
  copy(): number {
    this.#transfer ??= this.#open();
    if (this.#transfer === undefined) return 0;
    let total = 0;
    for (let rounds = 0; rounds < ROUNDS; rounds++) {
      total += this.#transfer.step();
      if (this.#transfer.atEnd) break;
      // A signal came while the reader was slow, and has to be heard.
      if (this.#transfer.paused) return Math.max(total, 1);
    }
    return total;
  }

  close(): void {
    if (this.#transfer !== undefined) closeFile(this.#transfer.input);
  }

  /** Undefined as long as the worker has not made it. */
  #open(): Transfer | undefined {
    try {
      const fd = openFile(this.path, "read");
      seek(fd, this.route.from);
      return new Transfer(fd, this.route.descriptor);
    } catch (error) {
      if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return undefined;
      throw error;
    }
  }
}
