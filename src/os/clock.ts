/** The time, and the local zone's offset from UTC. */
import type { Instant } from "../job/job.ts";
import { libc } from "./libc.ts";

export function now(): Instant {
  return Number(Temporal.Now.instant().epochNanoseconds / 1000n);
}

const GMT_OFFSET_IN_STRUCT_TM = 40;

/** Seconds to add to UTC for local time (`TZ` honoured) at an instant. The C library knows in 0.1 ms; Date and Temporal
 *  load 3 ms of time zone tables first. */
export function localOffset(instant: Instant): number {
  const broken = new Uint8Array(64);
  libc.localtime_r(new BigInt64Array([BigInt(Math.floor(instant / 1_000_000))]), broken);
  return Number(new DataView(broken.buffer).getBigInt64(GMT_OFFSET_IN_STRUCT_TM, true));
}
