/** The card of the last 24 hours: the chart, what its fills mean, and the same as a table. */
import { h } from "../dom.ts";
import { WORDS } from "../outcome.ts";
import { type Column, tableOf } from "../parts/table.ts";
import { clock, count } from "../text.ts";
import { type Hour, hoursChart, ORDER } from "./hours.ts";
import { outcomeLegend } from "./patterns.ts";
import { drawSized } from "./sized.ts";

const COLUMNS: readonly Column<Hour>[] = [
  { name: "Hour", text: ({ from }) => clock(from) },
  ...ORDER.map((status): Column<Hour> => ({
    name: WORDS[status],
    kind: "number",
    labelled: true,
    text: ({ outcomes }) => count(outcomes[status] ?? 0),
  })),
];

/** `read`: the hours as they are now. Returns the card, and what draws it again. */
export function hoursCard(
  signal: AbortSignal,
  read: () => readonly Hour[],
): { readonly card: HTMLElement; readonly draw: () => void } {
  const chart = h("div");
  const table = tableOf("Jobs that ended, by the hour", COLUMNS, ({ from }) => String(from));
  const redraw = drawSized(chart, signal, (width) => chart.replaceChildren(hoursChart(read(), width)));
  const draw = () => {
    redraw();
    table.update(read());
  };
  draw();
  const card = h(
    "section",
    { class: "card" },
    h(
      "header",
      {},
      h("h2", {}, "The last 24 hours"),
      h("span", { class: "soft small" }, "jobs that ended, by the hour"),
    ),
    h(
      "div",
      { class: "body" },
      chart,
      outcomeLegend(ORDER.toReversed()),
      h("details", {}, h("summary", {}, "Show as a table"), table.element),
    ),
  );
  return { card, draw };
}
