/** Where a command's answer goes. main.ts gives the descriptors; nothing else writes to them. */
import type { Job } from "../job/job.ts";
import { now } from "../os/clock.ts";
import { writeAll } from "../os/file.ts";
import { jobTable } from "./table.ts";
import { toJson } from "./views.ts";

export interface Output {
  /** Descriptor, for what is copied there as it is. */
  readonly descriptor: number;
  /** Columns of the terminal; undefined where it is none. */
  columns(): number | undefined;
  rows(): number | undefined;
  /** Prints an answer as JSON, indented by two. */
  json(value: unknown): void;
  table(jobs: readonly Job[]): void;
  tableText(jobs: readonly Job[]): string;
  text(text: string): void;
}

const encoder = new TextEncoder();

export function createOutput(
  descriptor: number,
  columns: () => number | undefined,
  rows: () => number | undefined = () => undefined,
): Output {
  const text = (value: string) => writeAll(descriptor, encoder.encode(value));
  const tableText = (jobs: readonly Job[]) => {
    // 0 where the terminal does not know.
    const width = columns();
    const color = width !== undefined && !process.env["NO_COLOR"];
    return jobTable(jobs, { now: now(), width: width || Number.POSITIVE_INFINITY, color });
  };
  return {
    descriptor,
    columns,
    rows,
    text,
    json: (value) => text(toJson(value)),
    table: (jobs) => text(tableText(jobs)),
    tableText,
  };
}
