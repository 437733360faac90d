/** How long the runs of a key took: a bar for each, with lines at the median and at the 95th percentile. */
import { h, svg } from "../dom.ts";
import { MARKS, WORDS } from "../outcome.ts";
import { tookOf } from "../parts/time.ts";
import { jobAddress } from "../route.ts";
import { day, duration, full } from "../text.ts";
import type { Run, Usual } from "../wire.ts";
import { outcomeLegend, patterns } from "./patterns.ts";

const HEIGHT = 180;
const BELOW = 34;
const LEFT = 56;
const ABOVE = 8;

/** `runs`: the newest first. `width`: in pixels. */
export function durationsChart(runs: readonly Run[], usual: Usual, width: number): SVGElement {
  const step = Math.max(7, Math.min(26, (width - LEFT) / Math.max(1, runs.length)));
  // What there is room for; the newest at the right.
  const shown = runs.slice(0, Math.floor((width - LEFT) / step)).toReversed();
  const longest = Math.max(...shown.map((run) => tookOf(run) ?? 0), usual.p95_seconds ?? 0, 0.01) * 1.05;
  const y = (seconds: number) => ABOVE + (1 - seconds / longest) * (HEIGHT - ABOVE);
  const chart = svg(
    "svg",
    {
      class: "durations",
      width,
      height: HEIGHT + BELOW,
      role: "group",
      "aria-label": "Durations, the oldest run first",
    },
    patterns(),
  );
  for (const seconds of roundValues(longest))
    chart.append(
      svg("line", { class: "grid-line", x1: LEFT, x2: width, y1: y(seconds), y2: y(seconds) }),
      svg("text", { x: LEFT - 8, y: y(seconds) + 4, "text-anchor": "end" }, duration(seconds)),
    );
  let lastLabel = -Infinity;
  let lastDate = "";
  for (const [index, run] of shown.entries()) {
    const x = LEFT + index * step;
    const seconds = tookOf(run) ?? 0;
    const says = `${WORDS[run.status]}, ${duration(tookOf(run))}, ${full(run.started_ms)}`;
    const top = Math.min(y(seconds), HEIGHT - 2);
    const size = Math.min(10, step);
    chart.append(
      svg(
        "a",
        { href: jobAddress(run.job_id), "aria-label": says },
        svg("title", {}, says),
        svg("rect", { class: "catch", x, y: 0, width: step, height: HEIGHT + BELOW - 14 }),
        svg("rect", {
          class: `fill-${run.status}`,
          x: x + step * 0.15,
          y: top,
          width: step * 0.7,
          height: HEIGHT - top,
        }),
        run.status === "SUCCEEDED"
          ? null
          : svg("path", {
              class: `outcome-${run.status}`,
              d: MARKS[run.status],
              transform: `translate(${x + step / 2 - size / 2} ${HEIGHT + 4}) scale(${size / 16})`,
              fill: "none",
              stroke: "currentColor",
              "stroke-width": 2.5,
            }),
      ),
    );
    const date = day(run.started_ms).slice(5);
    if (date !== lastDate && x - lastLabel > 52 && x + 36 < width) {
      chart.append(svg("text", { x, y: HEIGHT + BELOW - 3 }, date));
      lastLabel = x;
    }
    lastDate = date;
  }
  chart.append(svg("line", { class: "axis", x1: LEFT, x2: width, y1: HEIGHT, y2: HEIGHT }));
  for (const [kind, seconds] of [
    ["median", usual.median_seconds],
    ["p95", usual.p95_seconds],
  ] as const)
    if (seconds !== null)
      chart.append(svg("line", { class: kind, x1: LEFT, x2: width, y1: y(seconds), y2: y(seconds) }));
  return chart;
}

/** Two to four round values up to a duration. */
function roundValues(longest: number): readonly number[] {
  const steps = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
    3600, 7200, 14_400, 28_800, 43_200, 86_400,
  ];
  const every = steps.find((value) => longest / value <= 4) ?? longest / 4;
  return Array.from({ length: Math.floor(longest / every) }, (_, index) => (index + 1) * every);
}

/** What the lines mean. */
export function durationsLegend({ median_seconds, p95_seconds, succeeded }: Usual): readonly HTMLElement[] {
  const sample = (kind: string) =>
    svg(
      "svg",
      { class: `line-sample ${kind}`, viewBox: "0 0 24 12", "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 24, y1: 6, y2: 6 }),
    );
  const item = (kind: string, words: string) => h("span", {}, sample(kind), words);
  const lines = h(
    "p",
    { class: "legend" },
    median_seconds === null ? "No run has succeeded yet: nothing is usual." : null,
    median_seconds === null ? null : item("median", `median ${duration(median_seconds)}`),
    p95_seconds === null ? null : item("p95", `95 % within ${duration(p95_seconds)}`),
    median_seconds === null ? null : `of the ${succeeded} newest runs that succeeded`,
  );
  return [lines, outcomeLegend(["SUCCEEDED", "FAILED", "LOST", "CANCELLED", "RUNNING"])];
}
