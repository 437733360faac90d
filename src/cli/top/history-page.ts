/** Draws the history of a run key: its durations as a line of bars, and its runs. */
import { isActive } from "../../job/status.ts";
import type { Run } from "../../store/figures.ts";
import { formatInstant } from "../options/time.ts";
import { formatMicros } from "../output/table.ts";
import { cell, type Line, rightCell, segment } from "./line.ts";
import { styleOf } from "./list-page.ts";
import { bar, type Look } from "./look.ts";
import { barLines, bodyHeight, current, type Page, type State } from "./model.ts";

type HistoryPage = Extract<Page, { kind: "history" }>;

/** Below each bar: how the run ended, if it has not SUCCEEDED. */
const SIGNS = {
  STARTING: ">",
  RUNNING: ">",
  SUCCEEDED: " ",
  FAILED: "x",
  LOST: "?",
  CANCELLED: "c",
} as const;

export function drawHistory(
  state: State,
  { runKey, runs, usual }: HistoryPage,
  look: Look,
): { readonly title: string; readonly headings: Line; readonly lines: readonly Line[] } {
  const { columns } = state.size;
  const { chosen, first } = current(state);
  if (runs === undefined) return { title: `History of ${runKey}`, headings: [], lines: [] };
  const figures =
    usual === undefined
      ? ""
      : `: ${usual.succeeded} of the last ${usual.runs} succeeded, usual ${formatMicros(usual.median)}, 95 % ${formatMicros(usual.p95)}`;
  const rows = runs.slice(first, first + bodyHeight(state)).map((run, index) => {
    const isChosen = first + index === chosen;
    const style = isChosen ? "selected" : "plain";
    return [
      cell(look, isChosen ? "> " : "", 2, style),
      cell(look, formatInstant(run.startedAt).slice(0, 19).replace("T", " "), 20, style),
      cell(look, run.status, 11, isChosen ? style : styleOf(run.status)),
      rightCell(look, formatMicros(durationOf(run, state)), 8, style),
      segment(look, `   ${run.jobId}`, columns - 41, style),
    ];
  });
  const bars = barLines(state) > 0 ? drawBars(state, runs, look) : [];
  return {
    title: `History of ${runKey}${figures}`,
    headings: bars[0] ?? headings(look),
    lines: [...bars.slice(1), ...rows],
  };
}

function headings(look: Look): Line {
  return [
    cell(look, "", 2, "heading"),
    cell(look, "STARTED", 20, "heading"),
    cell(look, "STATUS", 11, "heading"),
    rightCell(look, "TOOK", 8, "heading"),
    cell(look, "   JOB ID", 39, "heading"),
  ];
}

function durationOf({ status, startedAt, endedAt }: Run, { data }: State): number {
  return Math.max(0, (endedAt ?? (isActive(status) ? data.at : startedAt)) - startedAt);
}

/** The bars, their signs, an explanation, and the headings of what follows. The newest run is at the right. */
function drawBars(state: State, runs: readonly Run[], look: Look): readonly Line[] {
  const width = state.size.columns - 2;
  const { chosen } = current(state);
  // The chosen run stays among those that are drawn.
  const from = Math.max(0, chosen - width + 1);
  const drawn = runs.slice(from, from + width);
  const longest = drawn.reduce((most, run) => Math.max(most, durationOf(run, state)), 1);
  const oldestFirst = drawn.map((run, index) => ({ run, isChosen: from + index === chosen })).reverse();
  const line = (text: (run: Run) => string): Line => [
    cell(look, "", 1),
    ...oldestFirst.map(({ run, isChosen }) => ({
      text: text(run),
      width: 1,
      style: isChosen ? ("selected" as const) : styleOf(run.status),
    })),
  ];
  return [
    line((run) => bar(look, durationOf(run, state) / longest)),
    line(({ status }) => SIGNS[status]),
    [
      segment(
        look,
        ` The highest: ${formatMicros(longest)}. x failed, ? lost, c cancelled, > active.`,
        width,
        "dim",
      ),
    ],
    headings(look),
  ];
}
