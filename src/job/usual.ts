/**
 * What is usual for a run key, from its history. Usual are the jobs that SUCCEEDED among its newest finished ones: a failure may
 * end at once or hang, and what took long a year ago is not usual any more.
 */
import type { Instant } from "./job.ts";
import type { JobStatus } from "./status.ts";

/** How many of the newest finished jobs of a key count. */
export const RECENT_RUNS = 100;

/** What is usual for a run key. Durations in µs. */
export interface Usual {
  /** How many finished jobs were looked at, at most RECENT_RUNS. */
  readonly runs: number;
  /** How many of them SUCCEEDED. The durations are theirs. */
  readonly succeeded: number;
  /** Half of them took no longer. Null if none SUCCEEDED. */
  readonly median: number | null;
  /** 95 % of them took no longer. */
  readonly p95: number | null;
  readonly shortest: number | null;
  readonly longest: number | null;
}

/** `runs`: how many finished jobs were looked at; `durations`: of those that SUCCEEDED, in µs, in any order. */
export function toUsual(runs: number, durations: readonly number[]): Usual {
  const ascending = durations.toSorted((a, b) => a - b);
  return {
    runs,
    succeeded: ascending.length,
    median: percentile(ascending, 0.5),
    p95: percentile(ascending, 0.95),
    shortest: ascending[0] ?? null,
    longest: ascending.at(-1) ?? null,
  };
}

/** The smallest of some ascending values that at least this share of them does not exceed; null if there are none. */
export function percentile(ascending: readonly number[], share: number): number | null {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? null;
}

/** Fewer successes than this say nothing about what is usual. */
const ENOUGH = 5;

/** Whether a job takes, or took, longer than 95 % of those that are usual for its key. `duration` in µs. */
export function isSlow(duration: number, usual: Usual | undefined): boolean {
  return usual !== undefined && usual.p95 !== null && usual.succeeded >= ENOUGH && duration > usual.p95;
}

/** How many jobs ended with each status. */
export type Outcomes = Readonly<Partial<Record<JobStatus, number>>>;

/** How many jobs ended in a period, and how many of them SUCCEEDED. */
export interface Totals {
  readonly ended: number;
  readonly succeeded: number;
  /** From 0 to 1; null if none ended. A cancelled job counts as one that did not succeed. */
  readonly successRate: number | null;
}

export function toTotals(outcomes: Outcomes): Totals {
  const ended = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  const succeeded = outcomes.SUCCEEDED ?? 0;
  return { ended, succeeded, successRate: ended === 0 ? null : succeeded / ended };
}

/** The beginnings of the last `days` local days, and the end of the last one, today: bounds for `outcomes`. */
export function dayBounds(now: Instant, days: number): readonly Instant[] {
  const midnight = new Date(now / 1000);
  midnight.setHours(0, 0, 0, 0);
  // By the calendar, because a day of a change of the clocks has 23 or 25 hours.
  const at = (offset: number) => {
    const day = new Date(midnight);
    day.setDate(day.getDate() + offset);
    return day.getTime() * 1000;
  };
  return Array.from({ length: days + 1 }, (_, index) => at(index - days + 1));
}
