/** Parses and formats durations: `90`, `90s`, `30m`, `2h`, `1d`, `1h30m`, `0.5`. */
import { OrchesjobError } from "./errors.ts";

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** About 100 years; in microseconds it is still a safe integer. */
const LONGEST = "36600d";
const LONGEST_MS = 36_600 * UNITS.d;

const SECONDS = /^\d{1,15}(\.\d+)?$/;
const PARTS = /^(?:(\d{1,15})d)?(?:(\d{1,15})h)?(?:(\d{1,15})m)?(?:(\d{1,15}(?:\.\d+)?)s)?$/;

/** Returns milliseconds; undefined if the text is no duration. */
export function readDuration(text: string): number | undefined {
  if (SECONDS.test(text)) return Math.round(Number(text) * UNITS.s);
  const parts = PARTS.exec(text);
  if (text === "" || parts === null) return undefined;
  const [, days = 0, hours = 0, minutes = 0, seconds = 0] = parts;
  const ms =
    Number(days) * UNITS.d + Number(hours) * UNITS.h + Number(minutes) * UNITS.m + Number(seconds) * UNITS.s;
  return Math.round(ms);
}

/** Returns milliseconds. Throws `usage`, with the option's name, if the text is no duration, too long, or 0 without `zero`. */
export function parseDuration(option: string, text: string, zero = false): number {
  const ms = readDuration(text);
  if (ms !== undefined && (ms > 0 || zero) && ms <= LONGEST_MS) return ms;
  throw new OrchesjobError(
    "usage",
    ms !== undefined && ms > LONGEST_MS
      ? `${option} must be at most ${LONGEST} (100 years), not ${JSON.stringify(text)}`
      : `${option} must be a duration${zero ? "" : " greater than 0"}, e.g. 90, 90s, 30m, 2h, 1d or 1h30m, not ${JSON.stringify(text)}`,
  );
}

/** The two largest units: `3m12s`, `2h5m`, `2d3h`, `0s`. */
export function formatDuration(ms: number): string {
  const parts = [
    [Math.floor(ms / UNITS.d), "d"],
    [Math.floor((ms % UNITS.d) / UNITS.h), "h"],
    [Math.floor((ms % UNITS.h) / UNITS.m), "m"],
    [Math.floor((ms % UNITS.m) / UNITS.s), "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join("");
}

/** Every unit, without rounding: `1h30m5s`, `0.5s`. */
export function formatExactly(ms: number): string {
  const seconds = (ms % UNITS.m) / UNITS.s;
  const whole = ms - (ms % UNITS.m);
  const parts = [
    [Math.floor(whole / UNITS.d), "d"],
    [Math.floor((whole % UNITS.d) / UNITS.h), "h"],
    [Math.floor((whole % UNITS.h) / UNITS.m), "m"],
    [seconds, "s"],
  ] as const;
  const shown = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`);
  return shown.join("") || "0s";
}
