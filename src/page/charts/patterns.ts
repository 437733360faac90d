/** Fills of bars: full, hatched, dotted, empty, so that outcomes differ without their colours, too. */
import { h, svg } from "../dom.ts";
import { WORDS } from "../outcome.ts";
import type { Status } from "../wire.ts";

/** The definitions that the classes fill-STATUS of charts.css refer to. Each chart has them, as ids are looked up in it first. */
export function patterns(): SVGElement {
  const pattern = (id: string, size: number, ...content: readonly SVGElement[]) =>
    svg("pattern", { id, width: size, height: size, patternUnits: "userSpaceOnUse" }, ...content);
  return svg(
    "defs",
    {},
    pattern(
      "hatched",
      6,
      svg("rect", { class: "ground-FAILED", width: 6, height: 6 }),
      svg("path", { class: "lines", d: "M-1 7 7 -1M-1 1 1 -1M5 7 7 5" }),
    ),
    pattern(
      "dotted",
      5,
      svg("rect", { class: "ground-LOST", width: 5, height: 5 }),
      svg("circle", { class: "dots", cx: 2.5, cy: 2.5, r: 1.1 }),
    ),
  );
}

/** What the fills mean. A chart with the definitions must be on the page. */
export function outcomeLegend(statuses: readonly Status[]): HTMLElement {
  const swatch = (status: Status) =>
    svg(
      "svg",
      { class: "swatch", viewBox: "0 0 14 12", "aria-hidden": "true" },
      svg("rect", { class: `fill-${status}`, x: 1, y: 1, width: 12, height: 10 }),
    );
  return h("p", { class: "legend" }, ...statuses.map((one) => h("span", {}, swatch(one), WORDS[one])));
}
