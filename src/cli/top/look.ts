/** What a terminal can show: colours, characters, and which sequences it knows. */
import { sanitize } from "../output/sanitize.ts";

export type Style =
  "plain" | "title" | "heading" | "selected" | "good" | "bad" | "warning" | "active" | "dim";

export interface Look {
  /** Parameters of SGR for each style; an empty text for none. */
  readonly sgr: Readonly<Record<Style, string>>;
  /** Whether characters beyond ASCII can be shown. */
  readonly isUtf8: boolean;
  /** Whether the terminal is more than a VT100: it has an alternate screen, a cursor that can be hidden, synchronized output. */
  readonly isModern: boolean;
}

const MONOCHROME: Look["sgr"] = {
  ...{ plain: "", title: "7", heading: "4", selected: "7", good: "", bad: "1", warning: "1" },
  ...{ active: "", dim: "" },
};
const COLORFUL: Look["sgr"] = {
  ...MONOCHROME,
  good: "32",
  bad: "31",
  warning: "1;33",
  active: "36",
  dim: "2",
};

/** Terminals without alternate screen and colours. */
const PLAIN = /^(vt(100|102|52)|ansi|linux-m|cons25)/;

type Variables = Readonly<Record<string, string | undefined>>;

/** Undefined if the cursor of the terminal cannot be moved. */
export function lookOf(variables: Variables): Look | undefined {
  const terminal = variables["TERM"] ?? "";
  if (terminal === "" || terminal === "dumb" || terminal === "unknown") return undefined;
  const isModern = !PLAIN.test(terminal);
  const isColorful = isModern && !/^vt\d/.test(terminal) && !variables["NO_COLOR"];
  return { sgr: isColorful ? COLORFUL : MONOCHROME, isUtf8: isUtf8(variables), isModern };
}

/** See locale(7). Unlike JSON, a terminal without a locale gets ASCII. */
function isUtf8(variables: Variables): boolean {
  const locale = variables["LC_ALL"] || variables["LC_CTYPE"] || variables["LANG"] || "";
  return /\.utf-?8/i.test(locale);
}

const BARS = { true: "▁▂▃▄▅▆▇█", false: "_.,-=+*#" } as const;

/** One bar: `share` of the highest, from 0 to 1. */
export function bar({ isUtf8 }: Look, share: number): string {
  const bars = BARS[`${isUtf8}`];
  const level = Math.ceil(share * bars.length) - 1;
  return bars[Math.min(bars.length - 1, Math.max(0, level))]!;
}

/**
 * A text from outside, safe to show, in characters that the terminal has. Without what joins emoji: terminals do not agree how wide
 * those are together, and what they take less than we think would stay on the screen.
 */
export function showable(look: Look, text: string): string {
  const safe = sanitize(text).replace(/[\u200d\ufe0f]/g, "");
  return look.isUtf8 ? safe : toAscii(safe);
}

function toAscii(text: string): string {
  return text
    .replaceAll("…", "~")
    .replaceAll("·", ".")
    .replace(/[^\u0020-\u007e]/gu, "?");
}
