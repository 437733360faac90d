/**
 * Reads a line of a log as a terminal would: colours become names of classes, every other escape sequence is dropped. What a
 * terminal would do with the sequences that move, hide or retitle is never done.
 */

export interface Style {
  /** 0 to 15: a colour of the terminal's palette. */
  readonly color?: number | undefined;
  readonly background?: number | undefined;
  readonly bold?: boolean | undefined;
  readonly dim?: boolean | undefined;
  readonly italic?: boolean | undefined;
  readonly underline?: boolean | undefined;
}

export interface Span {
  readonly text: string;
  readonly style: Style;
}

export const PLAIN: Style = {};

/**
 * CSI, then OSC and the other strings up to their end (BEL, ST or the end of the line), then two characters. The
 * alternatives of one character each exclude those before, so that no input takes more than linear time.
 */
const SEQUENCE =
  /(?:\u001b\[|\u009b)([0-?]*)[ -/]*([@-~]?)|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-Z\\`-~]?/g;

/** The parts of a line, and the style that holds at its end: it goes on in the next line. */
export function readAnsi(
  line: string,
  start: Style,
): { readonly spans: readonly Span[]; readonly end: Style } {
  if (!/[\u001b\u0090\u0098\u009b\u009d-\u009f]/.test(line))
    return { spans: line === "" ? [] : [{ text: line, style: start }], end: start };
  const spans: Span[] = [];
  let style = start;
  let from = 0;
  const add = (to: number) => {
    if (to > from) spans.push({ text: line.slice(from, to), style });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    add(match.index);
    from = match.index + match[0].length;
    if (match[2] === "m") style = withCodes(style, match[1] ?? "");
  }
  add(line.length);
  return { spans, end: style };
}

function withCodes(before: Style, codes: string): Style {
  let style: { -readonly [K in keyof Style]: Style[K] } = { ...before };
  const numbers = codes.split(/[;:]/).map((code) => (code === "" ? 0 : Number(code)));
  for (let index = 0; index < numbers.length; index += 1) {
    const code = numbers[index]!;
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style.bold = style.dim = undefined;
    else if (code === 23) style.italic = undefined;
    else if (code === 24) style.underline = undefined;
    else if (code >= 30 && code <= 37) style.color = code - 30;
    else if (code === 39) style.color = undefined;
    else if (code >= 40 && code <= 47) style.background = code - 40;
    else if (code === 49) style.background = undefined;
    else if (code >= 90 && code <= 97) style.color = code - 82;
    else if (code >= 100 && code <= 107) style.background = code - 92;
    else if (code === 38 || code === 48) {
      // 256 colours and RGB: only the first 16 have a class; the others keep the colour of the text.
      const isIndexed = numbers[index + 1] === 5;
      const color = isIndexed ? numbers[index + 2] : undefined;
      index += isIndexed ? 2 : numbers[index + 1] === 2 ? 4 : 0;
      const known = color !== undefined && color < 16 ? color : undefined;
      if (code === 38) style.color = known;
      else style.background = known;
    }
  }
  return style;
}

/** The classes of a style; "" for plain text. */
export function classesOf(style: Style): string {
  const names: string[] = [];
  if (style.color !== undefined) names.push(`fg-${style.color}`);
  if (style.background !== undefined) names.push(`bg-${style.background}`);
  for (const name of ["bold", "dim", "italic", "underline"] as const) if (style[name]) names.push(name);
  return names.join(" ");
}
