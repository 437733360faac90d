/** Jobs with chosen fields, and as lines: JSON Lines, CSV, a table. Loaded only if they are asked for. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import type { OrphanFinder } from "../../jobs/orphan-finder.ts";
import { now } from "../../linux/clock.ts";
import { JOB_FIELDS } from "../answers/job.ts";
import { nearest } from "../help/nearest.ts";
import type { JobFormat } from "../options/format-option.ts";
import type { Column } from "./grid.ts";
import type { Output } from "./output.ts";
import { sanitize, sanitizeJson } from "./sanitize.ts";
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

/** The field that only chosen fields may name, in seconds. */
const TOOK = "took";

/** All that `--fields` may name. */
export const FIELD_NAMES: readonly string[] = [...JOB_FIELDS, TOOK];

/** Fields in seconds that a table shows as people say them. */
const DURATIONS = [TOOK, "quiet_seconds", "silent_seconds"];

/** Throws `usage` for a name that is not one of a field, or is there twice. */
export function readFields(text: string): readonly string[] {
  const names = text.split(",");
  for (const [position, name] of names.entries()) {
    if (!FIELD_NAMES.includes(name)) {
      const meant = nearest(name, FIELD_NAMES);
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
export async function printJobs(
  output: Output,
  finder: OrphanFinder,
  jobs: readonly Job[],
  shape: Shape,
  isOne = false,
): Promise<void> {
  const { format, fields } = shape;
  if (isLines(format)) return printLines(output, finder, [jobs], { format, fields });
  if (format === "table" && fields === undefined) return output.text(tableFor(output.columns(), jobs));
  const view = viewOf(finder, fields);
  if (format === "json") return output.json(isOne ? view(jobs[0]!) : jobs.map(view));
  output.text(asText(gridFor(output.columns(), columnsFor(fields!, jobs, jobs.map(view)), [])));
}

/** The formats that have a line for each job, so that they can be printed before all jobs are read. */
export function isLines(format: JobFormat): format is "jsonl" | "csv" {
  return format === "jsonl" || format === "csv";
}

/** Prints each page before it reads the next. */
export async function printLines(
  output: Output,
  finder: OrphanFinder,
  pages: Iterable<readonly Job[]> | AsyncIterable<readonly Job[]>,
  { format, fields }: { readonly format: "jsonl" | "csv"; readonly fields: readonly string[] | undefined },
): Promise<void> {
  const view = viewOf(finder, fields);
  const columns = fields ?? JOB_FIELDS;
  const show = output.columns() === undefined ? (text: string) => text : sanitize;
  if (format === "csv") output.text(csvLine(columns, show));
  for await (const jobs of pages) {
    if (format === "jsonl") {
      output.jsonPieces(jobs.values().map((job) => `${JSON.stringify(view(job))}\n`));
      continue;
    }
    const lines: string[] = [];
    for (const each of jobs.map(view))
      lines.push(
        csvLine(
          columns.map((field) => each[field]),
          show,
        ),
      );
    output.text(lines.join(""));
  }
}

/** Fields for which the logs of a running job are read. */
const OF_OUTPUT = ["quiet_seconds", "last_line"];

type View = Readonly<Record<string, unknown>>;

function viewOf(finder: OrphanFinder, fields: readonly string[] | undefined): (job: Job) => View {
  const at = now();
  const { home } = finder.context;
  const needsOutput = fields === undefined || fields.some((field) => OF_OUTPUT.includes(field));
  const whole = (job: Job): View =>
    jobView(home, job, finder.find(job), needsOutput ? findLastOutput(home, job) : undefined);
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
      DURATIONS.includes(field) ? formatTook(view[field] as number | null) : forPeople(view[field]),
    );
    const isText = views.some((view) => typeof view[field] === "string") && !field.endsWith("_at");
    return { heading, cells, ...(isText ? { least: SMALLEST_FLEXIBLE } : {}) };
  });
}

function forPeople(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.map(forPeople).join(", ");
  if (typeof value !== "object") return String(value).slice(0, 1000);
  const entries = Object.entries(value);
  return entries.length === 0 ? "-" : entries.map(([name, each]) => `${name}=${forPeople(each)}`).join(", ");
}

/** As RFC 4180 has it. `show`: how to print a text. */
function csvLine(values: readonly unknown[], show: (text: string) => string): string {
  const cells = values.map((value) => {
    if (value === null || value === undefined) return "";
    const text = show(typeof value === "object" ? sanitizeJson(JSON.stringify(value)) : String(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  // Readers skip an empty line.
  return `${cells.length === 1 && cells[0] === "" ? '""' : cells.join(",")}\r\n`;
}
