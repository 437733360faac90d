/** Writes the answer of a command to a descriptor from main.ts. */
import type { Job } from "../../job/job.ts";
import { writeAll } from "../../linux/file.ts";
import { encodeJson, toJson } from "./json.ts";

export interface Output {
  /** For log contents, which are copied there unchanged. */
  readonly descriptor: number;
  /** Columns of the terminal, 0 if it does not know them; undefined if it is none. */
  columns(): number | undefined;
  /** Rows of the terminal, 0 if it does not know them; undefined if it is none. */
  rows(): number | undefined;
  /** Prints an answer as JSON, indented by two. */
  json(value: unknown): void;
  /** Prints JSON piece by piece, in constant memory. */
  jsonPieces(pieces: Iterable<string>): void;
  text(text: string): void;
}

/** Prints jobs as a table. Loads table.ts on demand, because most commands print none. */
export async function printTable(output: Output, jobs: readonly Job[]): Promise<void> {
  const { tableFor } = await import("./table.ts");
  output.text(tableFor(output.columns(), jobs));
}

const encoder = new TextEncoder();

/** Pieces are written as soon as they have this many characters together. */
const BUFFERED = 65_536;

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
      let buffer = "";
      for (const piece of pieces) {
        buffer += piece;
        if (buffer.length < BUFFERED) continue;
        writeAll(descriptor, encodeJson(buffer));
        buffer = "";
      }
      writeAll(descriptor, encodeJson(buffer));
    },
  };
}
