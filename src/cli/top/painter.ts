/** Turns pictures into what a terminal must be sent: only what has changed since the last one. */
import type { Line, Segment } from "./line.ts";
import type { Look } from "./look.ts";

const CLEAR_TO_LINE_END = "\u001b[K";
const CLEAR_SCREEN = "\u001b[2J";
const SHOW_CURSOR = "\u001b[?25h";
const HIDE_CURSOR = "\u001b[?25l";
/** Bracketed paste mode: a pasted text is no command. */
const MARK_PASTES = "\u001b[?2004h";
const LEAVE_PASTES = "\u001b[?2004l";
const BEGIN_SYNCHRONIZED = "\u001b[?2026h";
const END_SYNCHRONIZED = "\u001b[?2026l";

export interface Picture {
  /** From top to bottom; no more than the terminal has rows, and none wider than it. */
  readonly lines: readonly Line[];
  /** Where the cursor stands while somebody types: column and row from 0; undefined: it is hidden. */
  readonly cursor: { readonly column: number; readonly row: number } | undefined;
}

/** Lines must not wrap: a terminal may count more columns for a character than we do. */
export function enterSequence({ isModern }: Look): string {
  return isModern ? `\u001b[?1049h\u001b[?7l${MARK_PASTES}${HIDE_CURSOR}` : "\u001b[?7l";
}

/** Undoes enterSequence. A VT100 has no other screen, so it is left empty. */
export function leaveSequence({ isModern }: Look): string {
  return isModern
    ? `${END_SYNCHRONIZED}\u001b[0m${LEAVE_PASTES}\u001b[?7h${SHOW_CURSOR}\u001b[?1049l`
    : `\u001b[0m\u001b[?7h\u001b[H${CLEAR_SCREEN}`;
}

export class Painter {
  #shown: readonly Line[] | undefined;
  #cursor: Picture["cursor"];

  constructor(readonly look: Look) {}

  /** The screen is not as it was left: the next picture is drawn whole. */
  forget(): void {
    this.#shown = undefined;
    this.#cursor = undefined;
  }

  /** What draws the picture over the last one; empty if they are the same. */
  paint({ lines, cursor }: Picture): string {
    let text = this.#shown === undefined ? CLEAR_SCREEN : "";
    const shown = this.#shown ?? [];
    for (let row = 0; row < Math.max(lines.length, shown.length); row++)
      text += this.#paintLine(row, lines[row] ?? [], shown[row] ?? []);
    const isMoved = cursor?.column !== this.#cursor?.column || cursor?.row !== this.#cursor?.row;
    if (text !== "" || isMoved) text += this.#place(cursor);
    this.#shown = lines;
    this.#cursor = cursor;
    return text === "" || !this.look.isModern ? text : BEGIN_SYNCHRONIZED + text + END_SYNCHRONIZED;
  }

  #place(cursor: Picture["cursor"]): string {
    // A VT100 cannot hide its cursor: it waits in the corner.
    if (cursor === undefined) return this.look.isModern ? HIDE_CURSOR : moveTo(0, 0);
    return moveTo(cursor.row, cursor.column) + (this.look.isModern ? SHOW_CURSOR : "");
  }

  #paintLine(row: number, line: Line, before: Line): string {
    let text = "";
    let [column, columnBefore] = [0, 0];
    // Whether the cursor of the terminal is where the next segment begins.
    let isThere = false;
    for (const [index, each] of line.entries()) {
      const old = before[index];
      const isSame = column === columnBefore && old !== undefined && isEqual(each, old);
      if (!isSame) {
        text += (isThere ? "" : moveTo(row, column)) + this.#styled(each);
        // Terminals differ about the width of other characters.
        isThere = /^[\u0020-\u007e]*$/.test(each.text);
      } else isThere = false;
      column += each.width;
      columnBefore += old?.width ?? 0;
    }
    const widthBefore = before.reduce((sum, { width }) => sum + width, 0);
    if (column < widthBefore) text += (isThere ? "" : moveTo(row, column)) + CLEAR_TO_LINE_END;
    return text;
  }

  #styled({ text, style }: Segment): string {
    const sgr = this.look.sgr[style];
    return sgr === "" ? text : `\u001b[${sgr}m${text}\u001b[0m`;
  }
}

function moveTo(row: number, column: number): string {
  return `\u001b[${row + 1};${column + 1}H`;
}

function isEqual(a: Segment, b: Segment): boolean {
  return a.text === b.text && a.style === b.style;
}
