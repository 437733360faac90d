/** Formats times for answers, and parses those of options. */
import type { Instant } from "../../job/job.ts";
import { localOffset } from "../../linux/clock.ts";

const two = (value: number) => String(value).padStart(2, "0");

/** ISO 8601 in local time with its offset, six decimals: `2026-05-01T02:00:00.123456+09:00`. */
export function formatInstant(instant: Instant): string {
  const offset = localOffset(instant);
  const local = new Date(Math.floor(instant / 1000) + offset * 1000).toISOString().slice(0, 19);
  const micros = String(((instant % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, "0");
  const minutes = Math.floor(Math.abs(offset) / 60);
  return `${local}.${micros}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** Loads iso-time.ts and parses, only if a time is given. Throws `usage`. */
export async function readInstant(option: string, text: string | undefined): Promise<Instant | undefined> {
  if (text === undefined) return undefined;
  const { parseInstant } = await import("./iso-time.ts");
  return parseInstant(option, text);
}
