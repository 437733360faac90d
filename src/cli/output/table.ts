/** The table of jobs, for people: it fits the terminal, and shows ages and durations instead of timestamps. */
import { formatDuration } from "../../job/duration.ts";
import type { Instant, Job } from "../../job/job.ts";
import type { JobStatus } from "../../job/status.ts";
import { now } from "../../linux/clock.ts";
import { sanitize } from "./sanitize.ts";
import { cutMiddle } from "./views.ts";

interface TableStyle {
  readonly now: Instant;
  /** Columns of the terminal; Infinity if there is none. */
  readonly width: number;
  readonly color: boolean;
}

const HEADINGS = [
  "RUN KEY",
  "HOST",
  "ATTEMPT",
  "STATUS",
  "EXIT",
  "STARTED",
  "TOOK",
  "JOB ID",
  "COMMAND",
] as const;
type Heading = (typeof HEADINGS)[number];
type Row = Readonly<Record<Heading, string>>;

/** HOST is shown only if the jobs are of more than one. */
function headingsFor(rows: readonly Row[]): readonly Heading[] {
  const isMixed = rows.some((row) => row.HOST !== rows[0]!.HOST);
  return HEADINGS.filter((heading) => heading !== "HOST" || isMixed);
}

const GAP = "  ";
/** The least width that a run key and a command are cut to. */
const SMALLEST_FLEXIBLE = 12;
/** Columns that are dropped, in this order, if the terminal is too narrow. */
const DISPENSABLE: readonly Heading[] = ["JOB ID", "TOOK", "ATTEMPT", "COMMAND", "EXIT", "STARTED", "HOST"];

const COLORS: Record<JobStatus, number> = {
  STARTING: 36,
  RUNNING: 36,
  SUCCEEDED: 32,
  FAILED: 31,
  LOST: 35,
  CANCELLED: 33,
};

/** `width`: columns of the terminal, 0 if it does not know them; undefined if there is no terminal. */
export function tableFor(width: number | undefined, jobs: readonly Job[]): string {
  const color = width !== undefined && !process.env["NO_COLOR"];
  return jobTable(jobs, { now: now(), width: width || Number.POSITIVE_INFINITY, color });
}

function jobTable(jobs: readonly Job[], style: TableStyle): string {
  const rows = jobs.map((job) => cells(job, style.now));
  const columns = fit(rows, style.width);
  const line = (row: Row | undefined, status?: JobStatus) =>
    columns
      .map(({ heading, width }, position) => {
        const text = cutToWidth(row?.[heading] ?? heading, width);
        const isLast = position === columns.length - 1;
        const padded = isLast ? text : text + " ".repeat(width - Bun.stringWidth(text));
        return status !== undefined && heading === "STATUS" && style.color
          ? `\u001b[${COLORS[status]}m${padded}\u001b[0m`
          : padded;
      })
      .join(GAP)
      .trimEnd();
  return [line(undefined), ...rows.map((row, index) => line(row, jobs[index]!.status))]
    .map((text) => `${text}\n`)
    .join("");
}

interface Column {
  readonly heading: Heading;
  width: number;
}

/** Cuts the command, then the run key; if the line is still too long, drops a column and starts over. */
function fit(rows: readonly Row[], width: number): readonly Column[] {
  const all = headingsFor(rows).map((heading) => ({
    heading,
    // Not one Math.max(...): a call cannot have hundreds of thousands of arguments.
    width: rows.reduce((most, row) => Math.max(most, Bun.stringWidth(row[heading])), heading.length),
  }));
  for (let dropped = 0; ; dropped++) {
    const columns = all
      .filter(({ heading }) => !DISPENSABLE.slice(0, dropped).includes(heading))
      .map((column) => ({ ...column }));
    const excess = () => columns.reduce((sum, each) => sum + each.width + GAP.length, -GAP.length) - width;
    for (const heading of ["COMMAND", "RUN KEY"] as const) {
      const column = columns.find((each) => each.heading === heading);
      if (column === undefined || excess() <= 0) continue;
      column.width = Math.max(Math.min(SMALLEST_FLEXIBLE, column.width), column.width - excess());
    }
    if (excess() <= 0 || dropped === DISPENSABLE.length) return columns;
  }
}

/** As cutMiddle, but in columns of the terminal, because some characters take two. */
function cutToWidth(text: string, width: number): string {
  for (let length = width; length > 0; length--) {
    const cut = cutMiddle(text, length);
    if (Bun.stringWidth(cut) <= width) return cut;
  }
  return "";
}

function cells(job: Job, now: Instant): Row {
  const end = job.finishedAt ?? now;
  return {
    "RUN KEY": sanitize(job.runKey),
    HOST: sanitize(job.elsewhere?.host ?? job.origin?.host ?? "-"),
    ATTEMPT: String(job.attemptNo),
    STATUS: job.status,
    EXIT: job.exitCode === null ? "-" : String(job.exitCode),
    STARTED: `${formatDuration((now - job.startedAt) / 1000)} ago`,
    TOOK: formatDuration(Math.max(0, end - job.startedAt) / 1000),
    "JOB ID": job.jobId,
    COMMAND: job.command.map(printable).join(" "),
  };
}

/** A word of a command, sanitized, and quoted if a shell needs that. */
function printable(word: string): string {
  const shown = sanitize(word.slice(0, 1000));
  return /^[\w@%+=:,./·-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}
