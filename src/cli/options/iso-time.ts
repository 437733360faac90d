/**
 * Parses dates and times: every form of ISO 8601 that Python's `datetime.fromisoformat` takes (3.11 and newer), and a duration
 * back from now. Loaded only if an option with a time is given.
 */
import { OrchesjobError } from "../../job/errors.ts";
import { parseDuration, readDuration } from "../../job/duration.ts";
import type { Instant } from "../../job/job.ts";
import { localInstant, now } from "../../linux/clock.ts";

const DATE = /^(\d{4})(?:-(\d\d)-(\d\d)|(\d\d)(\d\d)|-W(\d\d)(?:-(\d))?|W(\d\d)(\d)?)$/;
const CLOCK = String.raw`(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d+))?)?|(\d\d)(?:(\d\d)(?:[.,](\d+))?)?)?`;
const TIME = new RegExp(`^${CLOCK}(?: ?(?:([Zz])|([+-])${CLOCK}))?$`);

const DAY_MICROS = 86_400_000_000;
const LAST_DAY = Date.UTC(9999, 11, 31) * 1000;

/** A parsed time, before the local zone is applied. */
export interface IsoTime {
  /** Wall-clock time: microseconds as if it were UTC. */
  readonly wall: number;
  /** Offset east of UTC, in microseconds; undefined: local time. */
  readonly offset: number | undefined;
}

/** Parses a date, a date and time, or a duration back from now (`2h`). Without an offset it is local time. Throws `usage`. */
export function parseInstant(option: string, text: string): Instant {
  // Only with a unit: a number alone is a date (20260131), not a number of seconds.
  if (/[smhd]$/.test(text) && readDuration(text) !== undefined)
    return now() - parseDuration(option, text, true) * 1000;
  const time = readIsoTime(text);
  if (time !== undefined)
    return time.offset === undefined ? localInstant(time.wall) : time.wall - time.offset;
  throw new OrchesjobError(
    "usage",
    `${option}: ${JSON.stringify(text)} is not a date or time`,
    `write 2026-01-31, "2026-01-31 18:00", 2026-01-31T18:00:00+09:00, or 2h for two hours ago`,
  );
}

/** Undefined if the text has none of the forms, or names a day or an hour that does not exist. */
export function readIsoTime(text: string): IsoTime | undefined {
  const gap = text.search(/[Tt ]/);
  const day = readDay(gap < 0 ? text : text.slice(0, gap));
  if (day === undefined || gap < 0) return day === undefined ? undefined : { wall: day, offset: undefined };
  const parts = TIME.exec(text.slice(gap + 1));
  if (parts === null) return undefined;
  const time = readClock(parts.slice(1, 8));
  if (time === undefined) return undefined;
  const [utc, sign] = parts.slice(8, 10);
  if (utc !== undefined) return { wall: day + time, offset: 0 };
  if (sign === undefined) return { wall: day + time, offset: undefined };
  const offset = readClock(parts.slice(10));
  if (offset === undefined) return undefined;
  return { wall: day + time, offset: sign === "-" && offset > 0 ? -offset : offset };
}

/** Midnight of a day, in microseconds as if in UTC; undefined if there is no such day. */
function readDay(text: string): number | undefined {
  const parts = DATE.exec(text);
  if (parts === null || parts[1] === "0000") return undefined;
  const [, year, month = parts[4], date = parts[5]] = parts;
  if (month !== undefined) return startOf(`${year}-${month}-${date}`);
  const week = Number(parts[6] ?? parts[8]);
  const weekday = Number(parts[7] ?? parts[9] ?? 1);
  if (weekday < 1 || weekday > 7) return undefined;
  // ISO 8601: the first week is the one with 4 January.
  const fourth = startOf(`${year}-01-04`)!;
  const monday =
    fourth - ((((fourth / DAY_MICROS + 3) % 7) + 7) % 7) * DAY_MICROS + (week - 1) * 7 * DAY_MICROS;
  // ISO 8601: a week belongs to the year of its Thursday.
  const thursday = new Date((monday + 3 * DAY_MICROS) / 1000).getUTCFullYear();
  const day = monday + (weekday - 1) * DAY_MICROS;
  return thursday === Number(year) && day <= LAST_DAY ? day : undefined;
}

/** Undefined if there is no such day. */
function startOf(date: string): number | undefined {
  const ms = Date.parse(`${date}T00:00:00Z`);
  // Date.parse takes 31 February for a day in March.
  return Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(date) ? undefined : ms * 1000;
}

/** Microseconds since midnight; undefined if out of range. Second 60, a leap second, counts as 59. */
function readClock(parts: readonly (string | undefined)[]): number | undefined {
  const [hours, minutes = parts[4] ?? 0, seconds = parts[5] ?? 0, fraction = parts[6] ?? ""] = parts;
  const [hour, minute, second] = [Number(hours), Number(minutes), Number(seconds)];
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const micros = Number(fraction.slice(0, 6).padEnd(6, "0"));
  return ((hour * 60 + minute) * 60 + Math.min(second, 59)) * 1_000_000 + micros;
}
