/** Draws the list of jobs: the active ones, then those that ended last, in the same columns. */
import { formatDuration } from "../../job/duration.ts";
import type { Instant, Job } from "../../job/job.ts";
import type { JobStatus } from "../../job/status.ts";
import { isSlow } from "../../job/usual.ts";
import { formatMicros, printableCommand } from "../output/table.ts";
import { took } from "../output/took.ts";
import { cell, type Line, rightCell, segment } from "./line.ts";
import { type Look, showable, type Style } from "./look.ts";
import { bodyHeight, current, hostOf, type Row, stateOf, type State, visible } from "./model.ts";

interface Column {
  readonly heading: string;
  /** Of the ended jobs, if it is another one. */
  readonly ended?: string;
  /** 0: what is left. */
  readonly width: number;
  readonly isRight?: boolean;
  text(row: Row, at: Instant): string;
  style?(row: Row, at: Instant): Style;
}

const MARK = "  ";
const GAP = 1;
const LEAST_KEY = 8;
const LEAST_REST = 10;

const key: Column = { heading: "RUN KEY", width: 0, text: ({ job }) => job.runKey };
const rest: Column = { heading: "LAST LINE", ended: "RESULT AND COMMAND", width: 0, text: describe };

const tookColumn: Column = {
  heading: "TOOK",
  width: 8,
  isRight: true,
  text: (row, at) => `${formatDurationOf(row.job, at)}${isLate(row, at) ? " !" : ""}`,
  style: (row, at) => (isLate(row, at) ? "warning" : "plain"),
};

/** From left to right, without key and rest. `isInFleet`: jobs of several hosts. */
function fixedColumns(isInFleet: boolean): readonly Column[] {
  return [
    ...(isInFleet ? [{ heading: "HOST", width: 10, text: ({ job }: Row) => hostOf(job) }] : []),
    {
      heading: "STATUS",
      width: isInFleet ? 11 : 9,
      text: ({ job }) => stateOf(job),
      style: ({ job }) => styleOf(stateOf(job)),
    },
    tookColumn,
    { heading: "USUAL", width: 7, isRight: true, text: ({ usual }) => formatMicros(usual?.median) },
    { heading: "95 %", width: 7, isRight: true, text: ({ usual }) => formatMicros(usual?.p95) },
    { heading: "QUIET", ended: "AGO", width: 7, isRight: true, text: quietOrAge },
  ];
}

/** Headings of the columns that are dropped, in this order, if there is too little room. */
const DISPENSABLE = ["95 %", "HOST", "USUAL", "QUIET", "LAST LINE", "TOOK", "STATUS"];

export function styleOf(status: ReturnType<typeof stateOf>): Style {
  const styles: Record<ReturnType<typeof stateOf>, Style> = {
    ...{ STARTING: "active", RUNNING: "active", STALLED: "warning", "SILENT HOST": "warning" },
    ...({ SUCCEEDED: "good", FAILED: "bad", LOST: "bad", CANCELLED: "dim" } satisfies Partial<
      Record<JobStatus, Style>
    >),
  };
  return styles[status];
}

/** Of a job that goes on in whole seconds. */
function formatDurationOf(job: Job, at: Instant): string {
  const seconds = took(job, at);
  if (seconds === null) return "-";
  const micros = Math.max(0, seconds) * 1_000_000;
  return job.finishedAt === null ? formatDuration(micros / 1000) : formatMicros(micros);
}

function isLate({ job, usual }: Row, at: Instant): boolean {
  const seconds = took(job, at);
  return seconds !== null && isSlow(seconds * 1_000_000, usual);
}

function quietOrAge({ job, last }: Row, at: Instant): string {
  if (job.finishedAt !== null) return formatDuration(Math.max(0, at - job.finishedAt) / 1000);
  return last === undefined ? "-" : formatDuration(last.quietMs);
}

function describe({ job, last }: Row, at: Instant): string {
  const command = printableCommand(job.command);
  const startsIn = (job.retry?.at ?? 0) - at;
  if (job.status === "STARTING" && startsIn > 0)
    return `attempt ${job.attemptNo} begins in ${formatDuration(startsIn / 1000)}`;
  if (job.finishedAt === null && job.status !== "LOST") return last?.lastLine ?? command;
  const result = resultOf(job);
  return result === "" ? command : `${result}: ${command}`;
}

function resultOf({ status, exitCode, signal, error, lostReason, cancelReason }: Job): string {
  if (status === "SUCCEEDED") return "";
  if (status === "LOST") return lostReason ?? "";
  if (status === "CANCELLED") return cancelReason ?? "";
  return error ?? signal ?? `exit ${exitCode}`;
}

interface Placed {
  readonly column: Column;
  readonly width: number;
}

function placeColumns(
  state: State,
  look: Look,
  { active, ended }: { active: readonly Row[]; ended: readonly Row[] },
): readonly Placed[] {
  const columns = [key, ...fixedColumns(state.data.members !== undefined), rest];
  let longest = LEAST_KEY;
  for (const { job } of [...active, ...ended])
    if (job.runKey.length > longest)
      longest = Math.max(longest, Bun.stringWidth(showable(look, job.runKey.slice(0, 200))));
  for (let dropped = 0; ; dropped++) {
    const gone = DISPENSABLE.slice(0, dropped);
    const kept = columns.filter(({ heading }) => !gone.includes(heading));
    const hasRest = kept.includes(rest);
    const fixed = kept.reduce((sum, { width }) => sum + width + GAP, MARK.length - GAP);
    const left = state.size.columns - fixed;
    if (left < LEAST_KEY + (hasRest ? LEAST_REST : 0) && dropped < DISPENSABLE.length) continue;
    const keyWidth = hasRest
      ? Math.min(longest, Math.max(LEAST_KEY, Math.floor(left / 2)))
      : Math.max(1, left);
    return kept.map((column) => ({
      column,
      width: column === key ? keyWidth : column === rest ? left - keyWidth : column.width,
    }));
  }
}

/** The headings, and the lines below them. */
export function drawList(
  state: State,
  look: Look,
): { readonly headings: Line; readonly lines: readonly Line[] } {
  const shown = visible(state);
  const { active, ended } = shown;
  const columns = placeColumns(state, look, shown);
  const { chosen, first } = current(state);
  const height = bodyHeight(state);
  const hasBoth = active.length > 0 && ended.length > 0;
  const lines: Line[] = [];
  for (let line = first; line < first + height; line++) {
    if (hasBoth && line === active.length) {
      lines.push(drawHeadings(look, columns, true));
      continue;
    }
    const index = line - (hasBoth && line > active.length ? 1 : 0);
    const row = active[index] ?? ended[index - active.length];
    if (row === undefined) break;
    lines.push(drawRow(look, columns, row, state.data.at, index === chosen));
  }
  if (lines.length === 0) lines.push([segment(look, nothing(state), state.size.columns, "dim")]);
  // Of the jobs at the top of what is in sight.
  const isOfEnded = first > active.length || active.length === 0;
  return { headings: drawHeadings(look, columns, isOfEnded), lines };
}

function nothing({ data, filter }: State): string {
  if (filter !== "") return "  No job fits the filter. Esc drops it.";
  return data.problem === undefined
    ? "  No jobs yet. Start one: orchesjob start --run-key KEY -- COMMAND"
    : "";
}

function drawHeadings(look: Look, columns: readonly Placed[], isEnded: boolean): Line {
  return between(
    look,
    [
      ...columns.map(({ column, width }) => {
        const text = isEnded ? (column.ended ?? column.heading) : column.heading;
        return (column.isRight ? rightCell : cell)(look, text, width, "heading");
      }),
    ],
    MARK,
    "heading",
  );
}

function drawRow(look: Look, columns: readonly Placed[], row: Row, at: Instant, isChosen: boolean): Line {
  const cells = columns.map(({ column, width }) => {
    const style = isChosen ? "selected" : (column.style?.(row, at) ?? "plain");
    // A text that is filled up with spaces would be sent with them whenever it changes.
    const fill = column.isRight ? rightCell : column === rest && !isChosen ? segment : cell;
    return fill(look, column.text(row, at), width, style);
  });
  return between(look, cells, isChosen ? "> " : MARK, isChosen ? "selected" : "plain");
}

function between(look: Look, cells: Line, mark: string, style: Style): Line {
  const gap = cell(look, "", GAP, style);
  return [
    cell(look, mark, MARK.length, style),
    ...cells.flatMap((each, index) => (index === 0 ? [each] : [gap, each])),
  ];
}
