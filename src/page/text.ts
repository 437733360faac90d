/** Texts for people: numbers, durations, times; and texts of jobs, made visible. */

/**
 * Characters that a text does not show but obeys: control characters, directions of writing, and what has no width. A tab
 * and a line feed are among them.
 */
const INVISIBLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\u206a-\u206f\u3164\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** The escape of one such character, as in JavaScript: \n, \x1b, \u202e. */
export function escapeOf(character: string): string {
  const code = character.codePointAt(0)!;
  if (code === 9) return "\\t";
  if (code === 10) return "\\n";
  if (code === 13) return "\\r";
  const digits = code.toString(16);
  if (code < 256) return `\\x${digits.padStart(2, "0")}`;
  return code < 65_536 ? `\\u${digits.padStart(4, "0")}` : `\\u{${digits}}`;
}

/** A text of one line in which every character can be seen. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, escapeOf);
}

export interface Part {
  readonly text: string;
  readonly escaped: boolean;
  /** Whether a carriage return is in it. */
  readonly returns: boolean;
}

/** More of the same are counted. */
const MOST_ESCAPES = 8;

/** The parts of a text: those to show as they are, and escapes. Tabs stay. The same escape many times is one part. */
export function visibleParts(text: string): readonly Part[] {
  const parts: Part[] = [];
  let from = 0;
  const add = (part: string, escaped: boolean, returns = false) =>
    parts.push({ text: part, escaped, returns });
  for (const match of text.matchAll(INVISIBLE)) {
    const [character] = match;
    // It was counted with those before it.
    if (character === "\t" || match.index < from) continue;
    if (match.index > from) add(text.slice(from, match.index), false);
    let count = 1;
    while (text.startsWith(character, match.index + count * character.length)) count += 1;
    const escape = escapeOf(character);
    add(count > MOST_ESCAPES ? `${escape}×${count}` : escape.repeat(count), true, character === "\r");
    from = match.index + count * character.length;
  }
  if (from < text.length) add(text.slice(from), false);
  return parts;
}

/** A command as it could be typed into a shell. */
export function commandLine(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(" ");
}

/** Two units at most; null: it is not known. 0.4 s, 12 s, 3 m 04 s, 2 h 05 m, 3 d 4 h. */
export function duration(seconds: number | null): string {
  if (seconds === null) return "–";
  if (seconds < 0.0095) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds < 0.995 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** One unit: 5 s, 12 min, 3 h, 4 days. */
export function rough(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

export function ago(ms: number, now: number): string {
  const seconds = (now - ms) / 1000;
  return seconds < 1 ? "just now" : `${rough(seconds)} ago`;
}

/** 980 B, 12.3 kB, 1.00 GB. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count;
  let unit = -1;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toPrecision(3)} ${units[unit]}`;
}

/** 1 234 567, with a thin space that does not break. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function percent(share: number): string {
  // 100 % only if it is all of them.
  const value = share * 100;
  return `${value > 99 && value < 100 ? (Math.floor(value * 10) / 10).toFixed(1) : Math.round(value)} %`;
}

/** One job, two jobs. */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

const two = (value: number) => String(value).padStart(2, "0");

/** 2026-05-01 */
export function day(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** 14:05 or 14:05:09 */
export function clock(ms: number, withSeconds = false): string {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}${withSeconds ? `:${two(date.getSeconds())}` : ""}`;
}

/** The time of day alone if it was today. */
export function moment(ms: number, now: number): string {
  return day(ms) === day(now) ? clock(ms, true) : `${day(ms)} ${clock(ms)}`;
}

export function full(ms: number): string {
  return `${day(ms)} ${clock(ms, true)}`;
}
