/** `logs` by time: both streams of a job in the order in which they came, with times, or from a time on. Line by line. */
import { OrchesjobError } from "../job/errors.ts";
import type { Instant, Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { turn } from "../linux/clock.ts";
import type { Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { LockWatch } from "../state/job-lock.ts";
import { GrowthWatch } from "../state/log-growth.ts";
import { isIndex, type OutputIndexReader } from "../state/output-index.ts";
import { lockFilePath, logFiles, type LogStream, outputIndexFile } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { Arrivals, findCuts } from "./arrivals.ts";
import { followAttempts } from "./follow-run.ts";
import { type Line, LogLines } from "./log-lines.ts";
import { describeCut, describeGone } from "./logs.ts";
import { refresh } from "./reconcile.ts";
import { LONG_MS } from "./wait.ts";

export interface TimedOrder {
  readonly streams: readonly LogStream[];
  /** Only lines whose last byte came at this time or later. */
  readonly since: Instant | undefined;
  /** Only the last so many lines. */
  readonly tail: number | undefined;
}

/** Gets the lines, one by one. */
export interface LineSink {
  take(line: Line): void;
  /** No line comes for now. */
  flush(): void;
}

/** How far to read. */
interface Extent {
  readonly entries: number;
  readonly sizes: ReadonlyMap<LogStream, number>;
}

/** Hands on what the logs have now. Throws `conflict` if the times are not known, or a log was deleted. */
export function readTimed(context: Context, job: Job, order: TimedOrder, sink: LineSink): void {
  requireTimes(context, job);
  using logs = new TimedLogs(context, job, order);
  const extent = logs.measure();
  const last = lastLines(context, job, order, extent, sink);
  logs.advance(last, extent.entries);
  logs.finish(last, extent);
  last.flush();
}

/**
 * Hands on what comes until the job and the attempts after it have ended, or a signal comes; returns the last one as it is then.
 * Throws `conflict` as readTimed, SystemError EPIPE if the reader has gone.
 */
export function followTimed(
  context: Context,
  { store, job }: { readonly store: JobStore; readonly job: Job },
  order: TimedOrder,
  sink: LineSink,
  interruption: Interruption,
): Promise<Job> {
  const follow = (attempt: Job) => {
    const wanted = attempt === job ? order : { ...order, tail: undefined };
    return followOne(context, { store, job: attempt }, wanted, sink, interruption);
  };
  return followAttempts(context, store, [job], follow, async () => interruption.signal !== undefined);
}

async function followOne(
  context: Context,
  { store, job }: { readonly store: JobStore; readonly job: Job },
  order: TimedOrder,
  sink: LineSink,
  interruption: Interruption,
): Promise<Job> {
  requireTimes(context, job);
  using logs = new TimedLogs(context, job, order);
  const last = lastLines(context, job, order, logs.measure(), sink, !isActive(job.status));
  const growth = new GrowthWatch([logs.index]);
  const owner = new LockWatch(lockFilePath(context.home, job.jobId));
  try {
    let isLong = false;
    for (let current = job; ;) {
      // Check for the end before reading: what is read after the end is complete.
      current = await refresh(context, store, current);
      if (interruption.signal !== undefined) return current;
      const count = logs.advance(last);
      if (count > 0) {
        isLong = false;
        growth.reset();
      } else if (!isActive(current.status)) {
        requireTimes(context, current);
        logs.finish(last, logs.measure(current));
        last.flush();
        return current;
      } else {
        last.flush();
        // Signals that came since the last check would not end the sleep.
        await turn();
        if (interruption.signal !== undefined) return current;
        requireTimes(context, current);
        if (isLong) store.disconnect();
        growth.wait(owner, isLong ? owner.slowCheckMs : LONG_MS);
        isLong = true;
      }
      await turn();
    }
  } finally {
    owner.close();
    growth.close();
  }
}

function requireTimes(context: Context, job: Job): void {
  const path = outputIndexFile(context.home, job.jobId);
  if (job.output === "pipe" && (job.target === null || isIndex(path))) return;
  const why =
    job.output === "pipe"
      ? `${path} is gone, or could not be written`
      : "it was not started with --output pipe";
  throw new OrchesjobError(
    "conflict",
    `nobody knows when and in which order the output of job ${job.jobId} came: ${why}`,
    `see its streams without that: orchesjob attach --job-id ${job.jobId}`,
  );
}

/** How many lines there are within an extent; `toEnd`: with those that are not in the index, or not whole. */
function countLines(context: Context, job: Job, order: TimedOrder, extent: Extent, toEnd: boolean): number {
  using logs = new TimedLogs(context, job, order);
  let count = 0;
  const counter = { take: ({ isContinued }: Line) => void (count += isContinued ? 0 : 1), flush: () => {} };
  logs.advance(counter, extent.entries);
  if (toEnd) logs.finish(counter, extent);
  return count;
}

/** Hands on the last lines that the order asks for; all, if it does not. `toEnd`: see countLines. */
function lastLines(
  context: Context,
  job: Job,
  order: TimedOrder,
  extent: Extent,
  sink: LineSink,
  toEnd = true,
): LastLines {
  const { tail } = order;
  return new LastLines(sink, tail === undefined ? 0 : countLines(context, job, order, extent, toEnd) - tail);
}

/** Passes over the first lines. */
class LastLines implements LineSink {
  constructor(
    readonly sink: LineSink,
    private surplus: number,
  ) {}

  take(line: Line): void {
    if (!line.isContinued) this.surplus -= 1;
    if (this.surplus < 0) this.sink.take(line);
  }

  flush(): void {
    this.sink.flush();
  }
}

/** The logs of some streams of a job, in the order of their index. */
class TimedLogs implements Disposable {
  readonly #arrivals: Arrivals;
  readonly #lines: ReadonlyMap<LogStream, LogLines>;
  readonly #cuts: ReadonlyMap<LogStream, number>;

  constructor(
    readonly context: Context,
    readonly job: Job,
    readonly order: TimedOrder,
  ) {
    this.#arrivals = new Arrivals(context, job);
    const logs = logFiles(context.home, job.jobId);
    this.#lines = new Map(order.streams.map((stream) => [stream, new LogLines(stream, logs[stream])]));
    this.#cuts = findCuts(context, job);
  }

  get index(): OutputIndexReader {
    return this.#arrivals.index;
  }

  /** How far the logs go now. Throws `conflict` if one was deleted. */
  measure(job = this.job): Extent {
    const sizes = new Map<LogStream, number>();
    for (const [stream, lines] of this.#lines) {
      const { facts } = lines;
      if (facts === undefined && job.target !== null)
        throw new OrchesjobError("conflict", describeGone(this.context, job, stream));
      sizes.set(stream, facts?.size ?? 0);
    }
    // Last: what is beyond its entries is in no entry.
    return { sizes, entries: this.index.length };
  }

  /** Hands on the lines that the index knows by now, up to entry `limit`; returns how many entries there were. */
  advance(sink: LineSink, limit = Number.POSITIVE_INFINITY): number {
    const begin = this.index.position;
    for (const { stream, time, end } of this.#arrivals.read(limit)) {
      const lines = this.#lines.get(stream);
      // Before that, the log had other bytes.
      if (lines === undefined || this.index.position <= (this.#cuts.get(stream) ?? 0)) continue;
      if (end < lines.position) this.#restart(lines, sink);
      if (time < (this.order.since ?? 0)) lines.skip(end);
      else for (const line of lines.take(end, time)) sink.take(line);
    }
    return this.index.position - begin;
  }

  #restart(lines: LogLines, sink: LineSink): void {
    const { stream, position } = lines;
    this.context.notify(describeCut(this.job, stream, position));
    for (const line of lines.restart()) sink.take(line);
  }

  /** Hands on what is not in the index, with the time of the last write, and lines without an end. */
  finish(sink: LineSink, { sizes }: Extent): void {
    for (const [stream, lines] of this.#lines) {
      const size = sizes.get(stream)!;
      const time = Math.round((lines.facts?.modifiedAt ?? 0) * 1_000);
      if (size > lines.position && time >= (this.order.since ?? 0))
        for (const line of lines.take(size, time)) sink.take(line);
      for (const line of lines.rest()) sink.take(line);
    }
  }

  [Symbol.dispose](): void {
    this.index.close();
    for (const lines of this.#lines.values()) lines.close();
  }
}
