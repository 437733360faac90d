/** Jobs for people: a table that fits the terminal, with ages and durations that one reads at a glance. */
import { formatDuration } from "../job/duration.ts";
import type { Instant, Job } from "../job/job.ts";
import type { JobStatus } from "../job/status.ts";
import { cutMiddle } from "./views.ts";

export interface TableStyle {
  readonly now: Instant;
  /** Columns of the terminal; Infinity where there is none. */
  readonly width: number;
  readonly color: boolean;
}

const HEADINGS = ["RUN KEY", "NO", "STATUS", "EXIT", "STARTED", "TOOK", "JOB ID", "COMMAND"] as const;
const STATUS_COLUMN = 2;
const GAP = "  ";
/** What a run key and a command are left at least. */
const SMALLEST_FLEXIBLE = 12;

const COLORS: Record<JobStatus, number> = {
  STARTING: 36,
  RUNNING: 36,
  SUCCEEDED: 32,
  FAILED: 31,
  LOST: 35,
  CANCELLED: 33,
};

export function jobTable(jobs: readonly Job[], style: TableStyle): string {
  const rows = jobs.map((job) => cells(job, style.now));
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => Bun.stringWidth(row[column]!))),
  );
  fit(widths, style.width);
  const line = (row: readonly string[], status?: JobStatus) =>
    row
      .map((cell, column) => {
        const text = cutMiddle(cell, widths[column]!);
        const padded =
          column === HEADINGS.length - 1
            ? text
            : text + " ".repeat(Math.max(0, widths[column]! - Bun.stringWidth(text)));
        return status !== undefined && column === STATUS_COLUMN && style.color
          ? `\u001b[${COLORS[status]}m${padded}\u001b[0m`
          : padded;
      })
      .join(GAP)
      .trimEnd();
  return [line(HEADINGS), ...rows.map((row, index) => line(row, jobs[index]!.status))]
    .map((text) => `${text}\n`)
    .join("");
}

/** The run key and the command give way where the line is too long. */
function fit(widths: number[], width: number): void {
  for (const column of [HEADINGS.length - 1, 0]) {
    const excess = widths.reduce((sum, each) => sum + each + GAP.length, -GAP.length) - width;
    if (excess > 0)
      widths[column] = Math.max(Math.min(SMALLEST_FLEXIBLE, widths[column]!), widths[column]! - excess);
  }
}

function cells(job: Job, now: Instant): string[] {
  const end = job.finishedAt ?? now;
  return [
    job.runKey,
    String(job.attemptNo),
    job.status,
    job.exitCode === null ? "-" : String(job.exitCode),
    `${formatDuration((now - job.startedAt) / 1000)} ago`,
    formatDuration(Math.max(0, end - job.startedAt) / 1000),
    job.jobId,
    job.command.map(printable).join(" "),
  ];
}

/** A word as it would be typed; nothing of it may move the cursor. */
function printable(word: string): string {
  const shown = word.slice(0, 1000).replace(/[\u0000-\u001f\u007f-\u009f]/g, "·");
  return /^[\w@%+=:,./·-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}
