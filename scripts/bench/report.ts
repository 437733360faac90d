/** What a benchmark found, as a table for people and as JSON. */
import { cpus } from "node:os";

export interface Row {
  readonly name: string;
  readonly value: string;
  /** To the floor of its section. */
  readonly ratio?: number;
  /** The ratio that is asked for, at most. */
  readonly wanted?: number | undefined;
}

export function machine(): string {
  const processors = cpus();
  return `${processors.length} × ${processors[0]?.model ?? "unknown processor"}, Bun ${Bun.version}`;
}

export function toTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.name,
    row.value,
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)}×`,
    row.wanted === undefined ? "" : `≤ ${row.wanted}×`,
  ]);
  const all = [["what", "median", "ratio", "wanted"], ...cells];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [
    line(all[0]!),
    `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`,
    ...cells.map(line),
  ].join("\n");
}
