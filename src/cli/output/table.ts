/** The table of jobs, for people: it fits the terminal, and shows ages and durations instead of timestamps. */
import { formatDuration } from "../../job/duration.ts";
import type { Job } from "../../job/job.ts";
import type { JobStatus } from "../../job/status.ts";
import { now } from "../../linux/clock.ts";
import { findLastOutput } from "../../state/last-output.ts";
import type { Home } from "../../state/paths.ts";
import { type Column, layOut } from "./grid.ts";
import { sanitize } from "./sanitize.ts";
import { took } from "./took.ts";

/** The least width that a run key, a command and other texts are cut to. */
export const SMALLEST_FLEXIBLE = 12;
/** The same of a last line of output. */
const SMALLEST_LINE = 20;
/** Columns that are dropped, in this order, if the terminal is too narrow. */
const DISPENSABLE = ["LAST LINE", "ATTEMPT", "TOOK", "QUIET", "COMMAND", "JOB ID", "EXIT", "STARTED", "HOST"];

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
  return asText(tableLines(width, jobs));
}

/** The lines of the table, the headings first. */
export function tableLines(width: number | undefined, jobs: readonly Job[]): readonly string[] {
  return gridFor(width, columnsFor(jobs), DISPENSABLE);
}

/** As tableLines, with what the running jobs have written last, of which the logs in `home` are read. */
export function tellingLines(width: number | undefined, jobs: readonly Job[], home: Home): readonly string[] {
  const outputs = jobs.map((job) => findLastOutput(home, job));
  if (outputs.every((output) => output === undefined)) return tableLines(width, jobs);
  const columns = columnsFor(jobs);
  const quiet = outputs.map((output) => formatTook(output === undefined ? null : output.quietMs / 1000));
  const lines = outputs.map((output) => output?.lastLine ?? "-");
  columns.splice(-2, 0, { heading: "QUIET", cells: quiet });
  columns.push({ heading: "LAST LINE", cells: lines, least: SMALLEST_LINE });
  return gridFor(width, columns, DISPENSABLE);
}

export function gridFor(
  width: number | undefined,
  columns: readonly Column[],
  dispensable: readonly string[],
): readonly string[] {
  const color = width !== undefined && !process.env["NO_COLOR"];
  return layOut(columns, { width: widthOf(width), color, dispensable });
}

/** A terminal that does not know its width (0) may have told it to the shell. As for ls, 80 is the last guess. */
function widthOf(width: number | undefined): number {
  if (width === undefined) return Number.POSITIVE_INFINITY;
  return width || Number(process.env["COLUMNS"]) || 80;
}

export function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

function columnsFor(jobs: readonly Job[]): Column[] {
  const at = now();
  const column = (heading: string, cell: (job: Job) => string, more: Partial<Column> = {}): Column => ({
    heading,
    cells: jobs.map(cell),
    ...more,
  });
  const hosts = jobs.map((job) => job.elsewhere?.host ?? job.origin?.host ?? "-");
  return [
    column("RUN KEY", (job) => job.runKey, { least: SMALLEST_FLEXIBLE }),
    // Only if the jobs are of more than one.
    ...(new Set(hosts).size > 1 ? [{ heading: "HOST", cells: hosts }] : []),
    column("ATTEMPT", (job) => String(job.attemptNo)),
    column("STATUS", (job) => job.status, { colors: colorsOf(jobs) }),
    column("EXIT", exit),
    column("STARTED", (job) => `${formatDuration((at - job.startedAt) / 1000)} ago`),
    column("TOOK", (job) => formatTook(took(job, at))),
    column("JOB ID", (job) => job.jobId, { shortened: shortIds(jobs) }),
    column("COMMAND", (job) => printableCommand(job.command), { least: SMALLEST_FLEXIBLE }),
  ];
}

export const colorsOf = (jobs: readonly Job[]) => jobs.map((job) => COLORS[job.status]);

/** `seconds`: as of took. */
export function formatTook(seconds: number | null): string {
  return seconds === null ? "-" : formatDuration(Math.max(0, seconds) * 1000);
}

/** In µs; null: unknown. With a decimal below ten seconds, because most short jobs would take `0s`. */
export function formatMicros(micros: number | null | undefined): string {
  if (micros == null) return "-";
  if (micros < 50_000) return "<0.1s";
  return micros < 9_950_000 ? `${(micros / 1_000_000).toFixed(1)}s` : formatDuration(micros / 1000);
}

/** In parentheses: how the command of a LOST job ended, which is not the job's result. */
function exit({ exitCode, orphanEnd }: Job): string {
  if (exitCode !== null) return String(exitCode);
  return orphanEnd === null || orphanEnd.exitCode === null ? "-" : `(${orphanEnd.exitCode})`;
}

/** Ids begin with the time in milliseconds: with its 12 digits and the hyphen between them, hardly two are the same. */
const SHORT_ID = 13;

/** The beginnings of ids that tell these jobs apart. */
export function shortIds(jobs: readonly Job[]): readonly string[] {
  const ids = new Set(jobs.map((job) => job.jobId));
  const longest = [...ids].reduce((most, id) => Math.max(most, id.length), SHORT_ID);
  for (let length = SHORT_ID; length < longest; length++)
    if (new Set([...ids].map((id) => id.slice(0, length))).size === ids.size)
      return jobs.map((job) => job.jobId.slice(0, length));
  return jobs.map((job) => job.jobId);
}

export function printableCommand(command: readonly string[]): string {
  return command.map(printable).join(" ");
}

/** A word of a command, sanitized, and quoted if a shell needs that. */
function printable(word: string): string {
  const shown = sanitize(word.slice(0, 1000));
  return /^[\w@%+=:,./·-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}
