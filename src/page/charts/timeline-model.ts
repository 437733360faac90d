/** The runs of a timeline in rows, one for each run key, and the questions that drawing and keyboard ask. Knows no canvas. */
import type { Status, Timeline } from "../wire.ts";

export interface Bar {
  readonly jobId: string;
  readonly status: Status;
  /** In ms. */
  readonly from: number;
  /** In ms; of an active run: infinite. */
  readonly to: number;
}

export interface Lane {
  readonly runKey: string;
  /** In the order of time. They do not overlap, because a run key has at most one active job. */
  readonly bars: readonly Bar[];
}

export interface Choice {
  readonly lane: number;
  readonly bar: number;
}

/** The lanes in the order of their keys. */
export function toLanes({ keys, runs }: Timeline): readonly Lane[] {
  const lanes = keys.map((): Bar[] => []);
  for (const { key, job_id, status, started_ms, finished_ms } of runs) {
    const to = finished_ms === null ? Infinity : Math.max(started_ms, finished_ms);
    lanes[key]!.push({ jobId: job_id, status, from: started_ms, to });
  }
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  return keys
    .map((runKey, index) => ({ runKey, bars: lanes[index]!.sort((a, b) => a.from - b.from) }))
    .filter(({ bars }) => bars.length > 0)
    .sort((a, b) => compare(a.runKey, b.runKey));
}

/** The index of the first bar that ends after a time. */
export function firstAfter({ bars }: Lane, time: number): number {
  let low = 0;
  let high = bars.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bars[middle]!.to < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The bar nearest to a time, at most `within` ms away; -1: none. */
export function nearest(lane: Lane, time: number, within = Infinity): number {
  const after = firstAfter(lane, time);
  const away = (index: number) => {
    const bar = lane.bars[index];
    return bar === undefined ? Infinity : Math.max(0, bar.from - time, time - bar.to);
  };
  const found = away(after) <= away(after - 1) ? after : after - 1;
  return away(found) <= within && away(found) < Infinity ? found : -1;
}

export type Step = "left" | "right" | "up" | "down" | "first" | "last";

/** Where the keyboard goes from a choice. Without one: to the newest run of the first lane. */
export function step(lanes: readonly Lane[], choice: Choice | undefined, to: Step): Choice | undefined {
  if (lanes.length === 0) return undefined;
  if (choice === undefined || lanes[choice.lane] === undefined)
    return { lane: 0, bar: lanes[0]!.bars.length - 1 };
  const { bars } = lanes[choice.lane]!;
  const clamp = (value: number, length: number) => Math.max(0, Math.min(value, length - 1));
  if (to === "left") return { ...choice, bar: clamp(choice.bar - 1, bars.length) };
  if (to === "right") return { ...choice, bar: clamp(choice.bar + 1, bars.length) };
  if (to === "first") return { ...choice, bar: 0 };
  if (to === "last") return { ...choice, bar: bars.length - 1 };
  const lane = clamp(choice.lane + (to === "up" ? -1 : 1), lanes.length);
  return lane === choice.lane ? choice : { lane, bar: nearest(lanes[lane]!, bars[choice.bar]!.from) };
}

export const SPANS = [
  { name: "6 hours", id: "6h", ms: 6 * 3_600_000, tick: 3_600_000 },
  { name: "Day", id: "day", ms: 86_400_000, tick: 3 * 3_600_000 },
  { name: "Week", id: "week", ms: 7 * 86_400_000, tick: 86_400_000 },
  { name: "30 days", id: "month", ms: 30 * 86_400_000, tick: 5 * 86_400_000 },
] as const;
export type Span = (typeof SPANS)[number];

/** The times of the lines of the axis: round in local time. */
export function ticks(from: number, to: number, every: number): readonly number[] {
  const found: number[] = [];
  const isDays = every >= 86_400_000;
  const at = new Date(from);
  if (isDays) at.setHours(0, 0, 0, 0);
  else at.setMinutes(0, 0, 0);
  const hours = every / 3_600_000;
  if (!isDays) at.setHours(Math.floor(at.getHours() / hours) * hours);
  while (at.getTime() < to) {
    if (at.getTime() >= from) found.push(at.getTime());
    // By the calendar: a day of a change of the clocks has 23 or 25 hours.
    if (isDays) at.setDate(at.getDate() + hours / 24);
    else at.setTime(at.getTime() + every);
  }
  return found;
}
