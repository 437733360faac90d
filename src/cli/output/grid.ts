/** Lays texts out in columns that fit a terminal. */
import { sanitize } from "./sanitize.ts";
import { cutMiddle } from "./views.ts";

export interface Column {
  readonly heading: string;
  readonly cells: readonly string[];
  /** The cells in fewer characters, for a terminal that is too narrow for all columns. */
  readonly shortened?: readonly string[];
  /** The least width that the cells are cut to; undefined: they are never cut. */
  readonly least?: number;
  /** The colour of each cell, as in SGR. */
  readonly colors?: readonly number[];
}

export interface Layout {
  /** Columns of the terminal; Infinity if there is none. */
  readonly width: number;
  readonly color: boolean;
  /** Headings of the columns that are dropped, in this order, if the terminal is too narrow. */
  readonly dispensable: readonly string[];
}

const GAP = "  ";
/** What a cell keeps at least on a terminal that is too narrow for everything: a character, the mark of the cut, another. */
const SMALLEST = 3;
/** Stands for the last columns if there is no room for them. */
const MORE: Fitted = { heading: "…", cells: [], width: 1 };

/** The lines, the headings first. What is in the cells is made safe for a terminal here. */
export function layOut(columns: readonly Column[], layout: Layout): readonly string[] {
  const fitted = fit(columns.map(printable), layout);
  const last = fitted.length - 1;
  const line = (row: number | undefined) =>
    fitted
      .map(({ heading, cells, colors, width }, position) => {
        const text = cutToWidth(row === undefined ? heading : (cells[row] ?? ""), width);
        const padded = position === last ? text : text + " ".repeat(width - Bun.stringWidth(text));
        const color = row === undefined || !layout.color ? undefined : colors?.[row];
        return color === undefined ? padded : `\u001b[${color}m${padded}\u001b[0m`;
      })
      .join(GAP)
      .trimEnd();
  return [line(undefined), ...(columns[0]?.cells ?? []).map((_, row) => line(row))];
}

interface Fitted extends Column {
  width: number;
}

function printable(column: Column): Column {
  const { cells, shortened } = column;
  return {
    ...column,
    cells: cells.map(show),
    ...(shortened === undefined ? {} : { shortened: shortened.map(show) }),
  };
}

/** Without what joins emoji: terminals do not agree how wide those are together. */
function show(cell: string): string {
  return sanitize(cell).replace(/[\u200d\ufe0f]/g, "");
}

/**
 * Cuts the last columns first. If the line is still too long, shortens cells, then drops one column after the other, then cuts
 * the widest, and at last leaves out what is on the right.
 */
function fit(columns: readonly Column[], { width, dispensable }: Layout): readonly Fitted[] {
  const whole = columns.map(measure);
  const shortened = columns.map((column) => measure({ ...column, cells: column.shortened ?? column.cells }));
  for (let step = 0; ; step++) {
    const dropped = dispensable.slice(0, Math.max(0, step - 1));
    const fitted = (step === 0 ? whole : shortened)
      .filter(({ heading }) => !dropped.includes(heading))
      .map((column) => ({ ...column }));
    for (const column of fitted.toReversed()) {
      const excess = widthOf(fitted) - width;
      if (column.least === undefined || excess <= 0) continue;
      column.width = Math.max(Math.min(column.least, column.width), column.width - excess);
    }
    if (widthOf(fitted) <= width) return fitted;
    if (step > dispensable.length) return squeeze(fitted, width);
  }
}

/** Makes the widest columns narrower until all fit; if even the smallest do not, leaves out the last ones. */
function squeeze(fitted: readonly Fitted[], width: number): readonly Fitted[] {
  for (let count = fitted.length; count > 1; count--) {
    const kept = fitted.slice(0, count);
    const rest = count < fitted.length ? [MORE] : [];
    const most = Math.max(...kept.map((column) => column.width));
    for (let limit = most; limit >= SMALLEST; limit--) {
      const narrow = kept.map((column) => ({ ...column, width: Math.min(column.width, limit) }));
      if (widthOf([...narrow, ...rest]) <= width) return [...narrow, ...rest];
    }
  }
  return fitted.slice(0, 1).map((column) => ({ ...column, width: Math.min(column.width, width) }));
}

function widthOf(fitted: readonly Fitted[]): number {
  return fitted.reduce((sum, each) => sum + each.width + GAP.length, -GAP.length);
}

function measure(column: Column): Fitted {
  // Not one Math.max(...): a call cannot have hundreds of thousands of arguments.
  const widest = (most: number, cell: string) => Math.max(most, Bun.stringWidth(cell));
  return { ...column, width: column.cells.reduce(widest, column.heading.length) };
}

/** As cutMiddle, but in columns of the terminal, because some characters take two. */
function cutToWidth(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  for (let length = width; length > 0; length--) {
    const cut = cutMiddle(text, length);
    if (Bun.stringWidth(cut) <= width) return cut;
  }
  return "";
}
