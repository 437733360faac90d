/** Times and durations as people and programs write them. */
import { OrchesjobError } from "../job/errors.ts";
import type { Instant } from "../job/job.ts";
import { localInstant, localOffset } from "../os/clock.ts";

const two = (value: number) => String(value).padStart(2, "0");

/** ISO 8601 in local time with its offset, six decimals: `2026-05-01T02:00:00.123456+09:00`. */
export function formatInstant(instant: Instant): string {
  const offset = localOffset(instant);
  const local = new Date(Math.floor(instant / 1000) + offset * 1000).toISOString().slice(0, 19);
  const micros = String(((instant % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, "0");
  const minutes = Math.floor(Math.abs(offset) / 60);
  return `${local}.${micros}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** A date, or a date and time with `T` or a space, with or without offset; without: local time. Throws `usage`. */
export function parseInstant(option: string, text: string): Instant {
  try {
    return parseIso(text);
  } catch {
    throw new OrchesjobError(
      "usage",
      `${option}: ${JSON.stringify(text)} is not a date or time; write 2026-01-31, "2026-01-31 18:00" or 2026-01-31T18:00:00+09:00`,
    );
  }
}

function parseIso(text: string): Instant {
  // Behind the date only an offset has these. PlainDateTime would skip over it, and over a zone's name in brackets.
  if (/[Zz+-]/.test(text.slice(10))) return Number(Temporal.Instant.from(text).epochNanoseconds / 1000n);
  if (text.includes("[")) throw new RangeError("a named zone");
  return localInstant(Temporal.PlainDateTime.from(text));
}
