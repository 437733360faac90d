/** The time, the local zone's offset from UTC, and a timer. */
import type { Instant } from "../job/job.ts";
import { libc } from "./libc.ts";

export function now(): Instant {
  return Number(Temporal.Now.instant().epochNanoseconds / 1000n);
}

/** The low half of `long tm_gmtoff`, in words of 32 bits. */
const GMT_OFFSET_IN_STRUCT_TM = 10;

/** Seconds to add to UTC for local time (`TZ` honoured) at an instant. The C library knows in 0.1 ms; Date and Temporal
 *  load 3 ms of time zone tables first. */
export function localOffset(instant: Instant): number {
  const seconds = Math.floor(instant / 1_000_000);
  const broken = new Int32Array(16);
  // A time_t in halves, the low one first.
  libc.localtime_r(new Int32Array([seconds, Math.floor(seconds / 2 ** 32)]), broken);
  return broken[GMT_OFFSET_IN_STRUCT_TM]!;
}

/** The instant of a local time. By the C library as above: Temporal knows no zone like `TZ=JST-9`, and would take UTC. */
export function localInstant(time: Temporal.PlainDateTime): Instant {
  const { year, month, day, hour, minute, second } = time;
  const broken = new Int32Array(16);
  const daylightSavingUnknown = -1;
  broken.set([second, minute, hour, day, month - 1, year - 1900, 0, 0, daylightSavingUnknown]);
  return Number(libc.mktime(broken)) * 1_000_000 + time.millisecond * 1000 + time.microsecond;
}

/** Lets signal handlers run. */
export function turn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}

const LONGEST_TIMER_MS = 2_000_000_000;

/** setTimeout for any time: the built-in one fires at once beyond 24 days. Its clock does not jump. */
export function after(ms: number, callback: () => void): void {
  if (ms <= LONGEST_TIMER_MS) setTimeout(callback, ms).unref();
  else setTimeout(() => after(ms - LONGEST_TIMER_MS, callback), LONGEST_TIMER_MS).unref();
}
