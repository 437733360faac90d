/** What the index of a job's output says, without what cannot be true: somebody may have damaged the file. */
import type { Job } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import { statPath } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";
import { type Arrival, OutputIndexReader } from "../state/output-index.ts";
import { LOG_STREAMS, logFiles, type LogStream, outputIndexFile } from "../state/paths.ts";

/** How far the clock may have been set since the job began or an entry was written. */
const CLOCK_CHANGE = 60_000_000;

/** Entries beyond those that the logs explain, each of which stands for at least one byte: logs that were truncated had more. */
const MORE_ENTRIES = 65_536;

export class Arrivals {
  readonly index: OutputIndexReader;
  readonly #logs: Readonly<Record<LogStream, string>>;
  readonly #earliest: number;

  constructor(context: Context, job: Job) {
    this.index = new OutputIndexReader(outputIndexFile(context.home, job.jobId));
    this.#logs = logFiles(context.home, job.jobId);
    this.#earliest = job.startedAt - CLOCK_CHANGE;
  }

  /** Yields the next entries that may be true, up to entry `limit`, until there are no more for now. */
  *read(limit = Number.POSITIVE_INFINITY): Generator<Arrival> {
    const sizes = this.#measure();
    let bytes = 0;
    for (const stream of LOG_STREAMS) bytes += sizes[stream] ?? Number.POSITIVE_INFINITY;
    const latest = now() + CLOCK_CHANGE;
    for (const arrival of this.index.read(limit - this.index.position, bytes + MORE_ENTRIES)) {
      const { stream, time, end } = arrival;
      if (time < this.#earliest || time > latest) continue;
      // The log may have grown.
      if (end > (sizes[stream] ?? 0)) sizes[stream] = statPath(this.#logs[stream])?.size;
      if (end <= (sizes[stream] ?? 0)) yield arrival;
    }
  }

  #measure(): Record<LogStream, number | undefined> {
    const { stdout, stderr } = this.#logs;
    return { stdout: statPath(stdout)?.size, stderr: statPath(stderr)?.size };
  }
}

/** For each stream whose log was truncated, how many entries are of before that. */
export function findCuts(context: Context, job: Job): ReadonlyMap<LogStream, number> {
  const cuts = new Map<LogStream, number>();
  const ends = new Map<LogStream, number>();
  const arrivals = new Arrivals(context, job);
  try {
    for (const { stream, end } of arrivals.read()) {
      if (end < (ends.get(stream) ?? 0)) cuts.set(stream, arrivals.index.position - 1);
      ends.set(stream, end);
    }
  } finally {
    arrivals.index.close();
  }
  return cuts;
}
