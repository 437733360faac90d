/** Jobs with chosen fields, and as lines: JSON Lines, CSV, a table. Loaded only if they are asked for. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import type { OrphanFinder } from "../../jobs/reconcile.ts";
import { now } from "../../linux/clock.ts";
import { JOB_FIELDS } from "../answers/job.ts";
import { nearest } from "../help/nearest.ts";
import type { JobFormat } from "../options/format-option.ts";
import type { Column } from "./grid.ts";
import type { Output } from "./output.ts";
import { sanitize } from "./sanitize.ts";
import {
  asText,
  colorsOf,
  formatTook,
  gridFor,
  printableCommand,
  shortIds,
  SMALLEST_FLEXIBLE,
  tableFor,
} from "./table.ts";
import { took } from "./took.ts";
import { findLastOutput } from "../../state/last-output.ts";
import { jobView } from "./views.ts";

/** The field that only chosen fields may name: seconds, in a table as people say them. */
const TOOK = "took";

/** Throws `usage` for a name that is not one of a field, or is there twice. */
export function readFields(text: string): readonly string[] {
  const known = [...JOB_FIELDS, TOOK];
  const names = text.split(",");
  for (const [position, name] of names.entries()) {
    if (!known.includes(name)) {
      const meant = nearest(name, known);
      throw new OrchesjobError(
        "usage",
        `--fields: there is no field ${JSON.stringify(name)}`,
        meant === undefined
          ? "write names with commas between them: run_key,status,took"
          : `did you mean ${meant}?`,
      );
    }
    if (names.indexOf(name) < position)
      throw new OrchesjobError("usage", `--fields names ${JSON.stringify(name)} twice`);
  }
  return names;
}

/** How to print jobs. `fields` undefined: all, or the usual columns of a table. */
export interface Shape {
  readonly format: JobFormat;
  readonly fields: readonly string[] | undefined;
}

/** `isOne`: JSON is one object instead of an array. */
export function printJobs(
  output: Output,
  finder: OrphanFinder,
  jobs: readonly Job[],
  { format, fields }: Shape,
  isOne = false,
): void {
  if (format === "table" && fields === undefined) return output.text(tableFor(output.columns(), jobs));
  const view = viewOf(finder, fields);
  switch (format) {
    case "json":
      return output.json(isOne ? view(jobs[0]!) : jobs.map(view));
    case "jsonl":
      return output.jsonPieces(jobs.values().map((job) => `${JSON.stringify(view(job))}\n`));
    case "csv":
      return printCsv(output, fields ?? JOB_FIELDS, jobs.values().map(view));
    case "table":
      return output.text(asText(gridFor(output.columns(), columnsFor(fields!, jobs, jobs.map(view)), [])));
  }
}

type View = Readonly<Record<string, unknown>>;

function viewOf(finder: OrphanFinder, fields: readonly string[] | undefined): (job: Job) => View {
  const at = now();
  const whole = (job: Job): View =>
    jobView(finder.context.home, job, finder.find(job), findLastOutput(finder.context.home, job));
  if (fields === undefined) return whole;
  return (job) => {
    const view: View = { ...whole(job), [TOOK]: took(job, at) };
    return Object.fromEntries(fields.map((field) => [field, view[field]]));
  };
}

function columnsFor(
  fields: readonly string[],
  jobs: readonly Job[],
  views: readonly View[],
): readonly Column[] {
  return fields.map((field) => {
    const heading = field.toUpperCase().replaceAll("_", " ");
    if (field === "job_id")
      return { heading, cells: jobs.map((job) => job.jobId), shortened: shortIds(jobs) };
    if (field === "status") return { heading, cells: jobs.map((job) => job.status), colors: colorsOf(jobs) };
    if (field === "command")
      return { heading, cells: jobs.map((job) => printableCommand(job.command)), least: SMALLEST_FLEXIBLE };
    const cells = views.map((view) =>
      field === TOOK ? formatTook(view[field] as number | null) : forPeople(view[field]),
    );
    const isText = views.some((view) => typeof view[field] === "string") && !field.endsWith("_at");
    return { heading, cells, ...(isText ? { least: SMALLEST_FLEXIBLE } : {}) };
  });
}

function forPeople(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.map(forPeople).join(", ");
  if (typeof value !== "object") return sanitize(String(value).slice(0, 1000));
  const entries = Object.entries(value);
  return entries.length === 0 ? "-" : entries.map(([name, each]) => `${name}=${forPeople(each)}`).join(", ");
}

/** A text is printed as soon as it has this many characters. */
const BUFFERED = 65_536;

/** As RFC 4180 has it. */
function printCsv(output: Output, fields: readonly string[], views: Iterable<View>): void {
  let buffer = csvLine(fields);
  for (const view of views) {
    buffer += csvLine(fields.map((field) => view[field]));
    if (buffer.length < BUFFERED) continue;
    output.text(buffer);
    buffer = "";
  }
  output.text(buffer);
}

function csvLine(values: readonly unknown[]): string {
  const cells = values.map((value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  // Readers skip an empty line.
  return `${cells.length === 1 && cells[0] === "" ? '""' : cells.join(",")}\r\n`;
}
