/** How long a run takes against what is usual for its key, in words and as a small bar. */
import { svg } from "../dom.ts";
import { duration } from "../text.ts";

/** As much of what is usual as is compared with. */
export interface Measure {
  readonly succeeded: number;
  readonly median_seconds: number | null;
  readonly p95_seconds: number | null;
}

/** Fewer successes than this say nothing about what is usual. */
const ENOUGH = 5;

export function isSlow(seconds: number | null, usual: Measure | null | undefined): boolean {
  return (
    seconds !== null &&
    !!usual &&
    usual.succeeded >= ENOUGH &&
    usual.p95_seconds !== null &&
    seconds > usual.p95_seconds
  );
}

/** "usually 4 m 10 s", or nothing. */
export function usually(usual: Measure | null | undefined): string {
  return usual && usual.median_seconds !== null ? `usually ${duration(usual.median_seconds)}` : "";
}

/** "longer than usual (4 m 10 s, 95 % within 5 m)". */
export function slowness(seconds: number | null, usual: Measure | null | undefined): string {
  if (!isSlow(seconds, usual)) return "";
  return `longer than usual: ${duration(usual!.median_seconds!)}, 95 % within ${duration(usual!.p95_seconds!)}`;
}

const WIDTH = 128;

/** A bar with a line at the median and one at the 95th percentile. The words beside it say the same. */
export function againstBar(seconds: number | null, usual: Measure | null | undefined): SVGElement | null {
  if (seconds === null || !usual || usual.median_seconds === null || usual.p95_seconds === null) return null;
  const longest = Math.max(seconds, usual.p95_seconds * 1.25, usual.median_seconds * 1.5, 0.001);
  const x = (value: number) => Math.round((value / longest) * WIDTH * 10) / 10;
  const line = (value: number, kind: string) =>
    svg("line", { class: kind, x1: x(value), x2: x(value), y1: 0, y2: 12 });
  return svg(
    "svg",
    { class: "against", viewBox: `0 0 ${WIDTH} 12`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "rail", x: 0, y: 4, width: WIDTH, height: 4 }),
    svg("rect", {
      class: isSlow(seconds, usual) ? "bar is-slow" : "bar",
      x: 0,
      y: 4,
      width: Math.max(1, x(seconds)),
      height: 4,
    }),
    line(usual.median_seconds, "median"),
    line(usual.p95_seconds, "p95"),
  );
}
