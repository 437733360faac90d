/** Where a command's answer goes. main.ts gives the descriptors; nothing else writes to them. */
import type { Job } from "../../job/job.ts";
import { writeAll } from "../../linux/file.ts";
import { encodeJson, toJson } from "./json.ts";

export interface Output {
  /** Descriptor, for what is copied there as it is. */
  readonly descriptor: number;
  /** Columns of the terminal; undefined where it is none. */
  columns(): number | undefined;
  rows(): number | undefined;
  /** Prints an answer as JSON, indented by two. */
  json(value: unknown): void;
  /** Prints JSON that comes in pieces, as it comes. */
  jsonPieces(pieces: Iterable<string>): void;
  text(text: string): void;
}

/** Prints jobs as a table, which only those load who show one. */
export async function printTable(output: Output, jobs: readonly Job[]): Promise<void> {
  const { tableFor } = await import("./table.ts");
  output.text(tableFor(output.columns(), jobs));
}

const encoder = new TextEncoder();

/** Characters that are written at once, where there are so many. */
const GATHERED = 65_536;

export function createOutput(
  descriptor: number,
  columns: () => number | undefined,
  rows: () => number | undefined = () => undefined,
): Output {
  const text = (value: string) => writeAll(descriptor, encoder.encode(value));
  return {
    descriptor,
    columns,
    rows,
    text,
    json: (value) => writeAll(descriptor, encodeJson(toJson(value))),
    jsonPieces(pieces) {
      let gathered = "";
      for (const piece of pieces) {
        gathered += piece;
        if (gathered.length < GATHERED) continue;
        writeAll(descriptor, encodeJson(gathered));
        gathered = "";
      }
      writeAll(descriptor, encodeJson(gathered));
    },
  };
}
