/** Durations as people write them: `90`, `90s`, `30m`, `2h`, `1d`. */
import { OrchesjobError } from "./errors.ts";

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Longest that fits a number of microseconds safely: about 100 years. */
const LONGEST_MS = 100 * 366 * UNITS.d;

/** Milliseconds, more than 0. Throws `usage`, naming the option. */
export function parseDuration(option: string, text: string): number {
  const match = /^(\d{1,12})([smhd]?)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * UNITS[(match[2] || "s") as keyof typeof UNITS];
  if (ms > 0 && ms <= LONGEST_MS) return ms;
  throw new OrchesjobError(
    "usage",
    `${option} is a duration of more than 0, e.g. 90, 90s, 30m, 2h or 1d, not ${JSON.stringify(text)}`,
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
