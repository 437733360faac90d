/** A column for each of the last 24 hours: how many jobs ended, and how. */
import { svg } from "../dom.ts";
import { WORDS } from "../outcome.ts";
import { clock, plural } from "../text.ts";
import type { Run, Status } from "../wire.ts";
import { patterns } from "./patterns.ts";

/** From the bottom to the top: what needs a look stands on the line, where small numbers are seen. */
export const ORDER: readonly Status[] = ["FAILED", "LOST", "CANCELLED", "SUCCEEDED"];
const HEIGHT = 64;

type Outcomes = Partial<Record<Status, number>>;
export interface Hour {
  /** In ms. */
  readonly from: number;
  readonly outcomes: Outcomes;
}

const HOUR = 3_600_000;

/** Counts the runs that ended in each of the last 24 hours. */
export function countHours(runs: readonly Run[], now: number): readonly Hour[] {
  const first = Math.floor(now / HOUR) - 23;
  const hours = Array.from({ length: 24 }, (_, index) => ({
    from: (first + index) * HOUR,
    outcomes: {} as Outcomes,
  }));
  for (const { finished_ms, status } of runs) {
    const outcomes =
      finished_ms === null ? undefined : hours[Math.floor(finished_ms / HOUR) - first]?.outcomes;
    if (outcomes !== undefined) outcomes[status] = (outcomes[status] ?? 0) + 1;
  }
  return hours;
}

/** `width`: in pixels. */
export function hoursChart(hours: readonly Hour[], width: number): SVGElement {
  const step = width / Math.max(1, hours.length);
  const gap = step > 20 ? 6 : 3;
  const most = Math.max(1, ...hours.map(({ outcomes }) => sum(outcomes)));
  const chart = svg(
    "svg",
    {
      class: "hours",
      width,
      height: HEIGHT + 16,
      role: "img",
      "aria-label": summary(hours),
    },
    patterns(),
  );
  for (const [index, { from, outcomes }] of hours.entries()) {
    const x = index * step + gap / 2;
    let top = HEIGHT;
    const column = svg("g", {}, svg("title", {}, `${clock(from)}: ${words(outcomes) || "none ended"}`));
    // The whole height answers the pointer.
    column.append(svg("rect", { class: "catch", x: index * step, y: 0, width: step, height: HEIGHT }));
    for (const status of ORDER) {
      const value = outcomes[status] ?? 0;
      if (value === 0) continue;
      const height = Math.max(3, (value / most) * (HEIGHT - 12));
      top -= height;
      column.append(
        svg("rect", {
          class: `fill-${status}`,
          x,
          y: top,
          width: step - gap,
          height: Math.max(1, height - 1),
        }),
      );
    }
    chart.append(column);
    if (index % Math.ceil(40 / step) === 0) chart.append(svg("text", { x, y: HEIGHT + 13 }, clock(from)));
  }
  chart.append(svg("line", { class: "axis", x1: 0, x2: width, y1: HEIGHT, y2: HEIGHT }));
  return chart;
}

const sum = (outcomes: Outcomes) => Object.values(outcomes).reduce((total, value) => total + value, 0);

const words = (outcomes: Outcomes) =>
  ORDER.filter((status) => (outcomes[status] ?? 0) > 0)
    .map((status) => `${outcomes[status]} ${WORDS[status].toLowerCase()}`)
    .join(", ");

function summary(hours: readonly Hour[]): string {
  const bad = hours.filter(({ outcomes }) => (outcomes.FAILED ?? 0) + (outcomes.LOST ?? 0) > 0);
  const total = hours.reduce((all, { outcomes }) => all + sum(outcomes), 0);
  const when = bad.map(({ from, outcomes }) => `${clock(from)}: ${words(outcomes)}`).join("; ");
  return `${plural(total, "job")} ended in 24 hours. ${when === "" ? "None failed." : `Hours with failures: ${when}.`}`;
}
