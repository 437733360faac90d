/** What the shapes of the timeline mean. */
import { h, svg } from "../dom.ts";
import { mark, WORDS } from "../outcome.ts";
import type { Status } from "../wire.ts";

/** Bars are drawn as on the canvas; what ended otherwise has its mark there, too. */
const BARS: Partial<Record<Status, string>> = {
  SUCCEEDED: "M1 3H13V9H1Z",
  RUNNING: "M1 3H9V0L15 6 9 12V9H1Z",
};

export function timelineLegend(): HTMLElement {
  const shape = (status: Status) => {
    const bar = BARS[status];
    if (bar === undefined) return h("span", { class: `outcome-${status}` }, mark(status));
    return svg(
      "svg",
      { class: "swatch", viewBox: "0 0 16 12" },
      svg("path", { class: `fill-${status}`, d: bar }),
    );
  };
  const shown = ["SUCCEEDED", "FAILED", "LOST", "CANCELLED", "RUNNING"] as const;
  return h(
    "p",
    { class: "legend", "aria-hidden": "true" },
    ...shown.map((status) => h("span", {}, shape(status), ` ${WORDS[status]}`)),
  );
}
