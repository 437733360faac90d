/** Formats times for answers, and parses those of options. */
import type { Instant } from "../../job/job.ts";
import { localOffset } from "../../linux/clock.ts";

/** ISO 8601 in local time with its offset, six decimals: `2026-05-01T02:00:00.123456+09:00`. */
export function formatInstant(instant: Instant): string {
  const offset = localOffset(instant);
  const local = new Date(instant / 1000 + offset * 1000).toISOString().slice(0, 19);
  const micros = String(((instant % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, "0");
  // Without Math, whose first use takes 110,000 instructions.
  const minutes = (offset < 0 ? -offset : offset) / 60;
  return `${local}.${micros}${offset < 0 ? "-" : "+"}${twoDigits(minutes / 60)}:${twoDigits(minutes % 60)}`;
}

/** The whole part of a number, with two digits. */
function twoDigits(value: number): string {
  return String(value | 0).padStart(2, "0");
}

/** Loads iso-time.ts and parses, only if a time is given. Throws `usage`. */
export async function readInstant(option: string, text: string | undefined): Promise<Instant | undefined> {
  if (text === undefined) return undefined;
  const { parseInstant } = await import("./iso-time.ts");
  return parseInstant(option, text);
}
