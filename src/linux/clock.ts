/** The time, the local zone's offset from UTC, and a timer. */
import type { Instant } from "../job/job.ts";
import { addressOf } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";

export function now(): Instant {
  return Number(Temporal.Now.instant().epochNanoseconds / 1000n);
}

const SYS_CLOCK_GETTIME = process.arch === "arm64" ? 113n : 228n;
const CLOCK_BOOTTIME = 7n;

/** Milliseconds since boot, the time that the machine was suspended included. Nobody sets this clock. */
export function bootTimeMs(): number {
  const time = new BigInt64Array(2);
  libc.syscall(SYS_CLOCK_GETTIME, CLOCK_BOOTTIME, BigInt(addressOf(time)), 0n, 0n);
  return Number(time[0]) * 1_000 + Number(time[1]) / 1_000_000;
}

/** The low half of `long tm_gmtoff`, in words of 32 bits. */
const GMT_OFFSET_IN_STRUCT_TM = 10;

/**
 * Seconds to add to UTC for local time at an instant; honours `TZ`. The C library takes 0.1 ms; Date and Temporal load time
 * zone tables first, which takes 3 ms.
 */
export function localOffset(instant: Instant): number {
  // Without Math, whose first use takes 110,000 instructions.
  const seconds = (instant - (instant % 1_000_000)) / 1_000_000;
  const low = seconds >>> 0;
  const broken = new Int32Array(16);
  // A time_t in halves, the low one first.
  libc.localtime_r(new Int32Array([low, (seconds - low) / 2 ** 32]), broken);
  return broken[GMT_OFFSET_IN_STRUCT_TM]!;
}

const DAY_MICROS = 86_400_000_000;

/**
 * The instant of a local time, given in microseconds as if it were UTC. A time that comes twice (the clock was set back) means
 * the first; a time that never comes (the clock was set forward) means the instant of the change. By the offsets above,
 * because Temporal knows no zone like `TZ=JST-9`, and would take UTC.
 */
export function localInstant(wall: number): Instant {
  const offsetAt = (instant: Instant) => localOffset(instant) * 1_000_000;
  // No zone is more than a day from UTC.
  const [before, after] = [offsetAt(wall - DAY_MICROS), offsetAt(wall + DAY_MICROS)];
  const earlier = wall - Math.max(before, after);
  const later = wall - Math.min(before, after);
  if (offsetAt(earlier) === wall - earlier) return earlier;
  if (offsetAt(later) === wall - later) return later;
  let [old, changed] = [earlier, later];
  while (changed - old > 1) {
    const middle = Math.floor((old + changed) / 2);
    if (offsetAt(middle) === before) old = middle;
    else changed = middle;
  }
  return changed;
}

/** Lets signal handlers run. */
export function turn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}

const LONGEST_TIMER_MS = 2_000_000_000;

/**
 * As setTimeout, for any time: the built-in one fires at once beyond 24 days. Its clock does not jump. Does not keep the
 * process alive.
 */
export function after(ms: number, callback: () => void): void {
  if (ms <= LONGEST_TIMER_MS) setTimeout(callback, ms).unref();
  else setTimeout(() => after(ms - LONGEST_TIMER_MS, callback), LONGEST_TIMER_MS).unref();
}
