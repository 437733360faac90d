/** Reports what a benchmark found, as tables for people and as JSON. */
import { cpus } from "node:os";

export interface Row {
  readonly name: string;
  readonly value: string;
  /** Ratio to the floor of its section. */
  readonly ratio?: number | undefined;
  /** The largest allowed ratio. */
  readonly wanted?: number | undefined;
  /** What is required, as text, if it is not a largest ratio. */
  readonly aim?: string;
  /** Whether `aim` is missed. */
  readonly missed?: boolean;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
  /** How it was measured, and what could not be. */
  readonly notes: readonly string[];
}

export function machine(): string {
  const processors = cpus();
  return `${processors.length} × ${processors[0]?.model ?? "unknown processor"}, Bun ${Bun.version}`;
}

/** A row whose value must be at most, or at least, the limit. */
export function atMost(name: string, metric: number, limit: number, unit: string): Row {
  return { name, value: format(metric, unit), aim: `≤ ${format(limit, unit)}`, missed: metric > limit };
}

export function atLeast(name: string, metric: number, limit: number, unit: string): Row {
  return { name, value: format(metric, unit), aim: `≥ ${format(limit, unit)}`, missed: metric < limit };
}

/** A row whose ratio to a floor must be at least the limit. */
export function ratioAtLeast(name: string, value: string, ratio: number, limit: number): Row {
  return { name, value, ratio, aim: `≥ ${limit}×`, missed: ratio < limit };
}

function format(metric: number, unit: string): string {
  const digits = Math.abs(metric) >= 100 ? 0 : 2;
  return `${metric.toLocaleString("en", { maximumFractionDigits: digits })} ${unit}`.trim();
}

export function isMissed(row: Row): boolean {
  return row.missed ?? (row.wanted !== undefined && row.ratio !== undefined && row.ratio > row.wanted);
}

export function toTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.name,
    row.value,
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)}×`,
    row.aim ?? (row.wanted === undefined ? "" : `≤ ${row.wanted}×`),
    isMissed(row) ? "missed" : "",
  ]);
  const all = [["what", "measured", "ratio", "wanted", ""], ...cells];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [
    line(all[0]!),
    `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`,
    ...cells.map(line),
  ].join("\n");
}

export function toText({ title, rows, notes }: Section): string {
  return [`## ${title}`, "", toTable(rows), ...notes.map((note) => `\n${note}`)].join("\n");
}
