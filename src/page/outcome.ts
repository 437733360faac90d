/** How a status looks: a shape, a word and a colour, so that none of them is the only sign. */
import { h, svg } from "./dom.ts";
import type { Status } from "./wire.ts";

export const STATUSES: readonly Status[] = [
  "STARTING",
  "RUNNING",
  "SUCCEEDED",
  "FAILED",
  "LOST",
  "CANCELLED",
];

export const WORDS: Readonly<Record<Status, string>> = {
  STARTING: "Starting",
  RUNNING: "Running",
  SUCCEEDED: "Succeeded",
  FAILED: "Failed",
  LOST: "Lost",
  CANCELLED: "Cancelled",
};

/** Lines in a square of 16, two wide: a tick, a cross, a diamond with a question in it, a crossed circle, a triangle. */
export const MARKS: Readonly<Record<Status, string>> = {
  STARTING: "M4.5 3.5 12.5 8 4.5 12.5Z",
  RUNNING: "M4.5 3 13 8 4.5 13Z",
  SUCCEEDED: "M2.5 8.5 6.5 12.5 13.5 4",
  FAILED: "M3.5 3.5 12.5 12.5M12.5 3.5 3.5 12.5",
  LOST: "M8 1.5 14.5 8 8 14.5 1.5 8ZM8 5.5V8.5M8 10.5V11",
  CANCELLED: "M8 2A6 6 0 1 1 7.99 2ZM4 12 12 4",
};

export const isActive = (status: Status) => status === "STARTING" || status === "RUNNING";

/** Whether somebody should look: it did not do its work, and nobody asked for that. */
export const isTrouble = (status: Status) => status === "FAILED" || status === "LOST";

export function mark(status: Status): SVGElement {
  return svg(
    "svg",
    { class: "mark", viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("path", {
      d: MARKS[status],
      fill: status === "RUNNING" ? "currentColor" : "none",
      "stroke-width": status === "SUCCEEDED" || status === "FAILED" ? 2.5 : 1.75,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  );
}

/** Mark and word. `after`: what the word alone does not say, for example the exit code. */
export function statusOf(status: Status, after = ""): HTMLElement {
  return h("span", { class: `status outcome-${status}` }, mark(status), `${WORDS[status]}${after}`);
}
