/** Lines of the screen, as segments that know how many columns they take. */
import { type Look, showable, type Style } from "./look.ts";

export interface Segment {
  readonly text: string;
  /** Columns. */
  readonly width: number;
  readonly style: Style;
}

export type Line = readonly Segment[];

export function widthOf(line: Line): number {
  return line.reduce((sum, { width }) => sum + width, 0);
}

/** A text from outside, safe, cut to the width. */
export function segment(look: Look, text: string, width: number, style: Style = "plain"): Segment {
  const cut = cutToWidth(showable(look, text), Math.max(0, width), look.isUtf8 ? "…" : "~");
  return { ...cut, style };
}

/** As segment, filled with spaces to the width. */
export function cell(look: Look, text: string, width: number, style: Style = "plain"): Segment {
  const found = segment(look, text, width, style);
  return { ...found, text: found.text + " ".repeat(width - found.width), width };
}

/** As cell, with the text at the right. */
export function rightCell(look: Look, text: string, width: number, style: Style = "plain"): Segment {
  const found = segment(look, text, width, style);
  return { ...found, text: " ".repeat(width - found.width) + found.text, width };
}

/** The line up to a width, filled with spaces of the style of its last segment if it is shorter and `fills`. */
export function fitLine(look: Look, line: Line, width: number, fills = false): Line {
  const fitted: Segment[] = [];
  let left = width;
  for (const each of line) {
    if (left <= 0) break;
    const part = each.width <= left ? each : { ...cutToWidth(each.text, left, ""), style: each.style };
    fitted.push(part);
    left -= part.width;
  }
  if (fills && left > 0) fitted.push(cell(look, "", left, line.at(-1)?.style));
  return fitted;
}

const PRINTABLE_ASCII = /^[\u0020-\u007e]*$/;

/** `mark` stands at the end of a text that was cut. */
export function cutToWidth(
  text: string,
  width: number,
  mark: string,
): { readonly text: string; readonly width: number } {
  if (PRINTABLE_ASCII.test(text)) {
    if (text.length <= width) return { text, width: text.length };
    if (width < 2) return { text: text.slice(0, width), width };
    return { text: text.slice(0, width - mark.length) + mark, width };
  }
  const whole = takeColumns(text, width);
  if (whole.text.length === text.length || mark === "" || width < 2) return whole;
  const markWidth = Bun.stringWidth(mark);
  const part = takeColumns(text, width - markWidth);
  return { text: part.text + mark, width: part.width + markWidth };
}

/** Character by character: terminals differ about what several of them take together, as in a flag of many colours. */
function takeColumns(text: string, room: number): { readonly text: string; readonly width: number } {
  // More marks that take no column than this belong to no language.
  const most = 4 * room + 4;
  let cut = "";
  let width = 0;
  let count = 0;
  for (const character of text) {
    const columns = Bun.stringWidth(character);
    if (width + columns > room || ++count > most) break;
    cut += character;
    width += columns;
  }
  return { text: cut, width };
}
