/**
 * A window over the bytes of a log, which may be of any size: only what it shows is loaded. It begins and ends between lines,
 * except that a line too long for one request is cut, between characters.
 */

/** Bytes of one request. */
export const CHUNK = 64 * 1024;
/** Most lines of one request, and in the window: a log may consist of line feeds. */
const CHUNK_LINES = 1_500;
const MOST_LINES = 4_500;
const MOST_BYTES = 8 * CHUNK;

const LINE_FEED = 10;

export interface Line {
  /** The offset of its first byte. */
  readonly at: number;
  readonly text: string;
  /** The offset after its last byte, the line feed included. */
  readonly next: number;
  /** Whether it ends with a line feed. */
  readonly isEnded: boolean;
}

export interface Piece {
  readonly bytes: Uint8Array;
  /** How many bytes the log has now. */
  readonly size: number;
}

export type Read = (from: number, max: number) => Promise<Piece>;

export class LogWindow {
  readonly #read: Read;
  #lines: readonly Line[] = [];
  #from = 0;
  #to = 0;
  #size = 0;

  constructor(read: Read) {
    this.#read = read;
  }

  get lines(): readonly Line[] {
    return this.#lines;
  }
  /** The first byte, the one after the last, and how many the log has. */
  get from(): number {
    return this.#from;
  }
  get to(): number {
    return this.#to;
  }
  get size(): number {
    return this.#size;
  }
  get isAtStart(): boolean {
    return this.#from === 0;
  }
  get isAtEnd(): boolean {
    return this.#to >= this.#size;
  }

  /** Takes note of how large the log is now, and loads nothing. */
  resize(size: number): void {
    this.#size = Math.max(this.#size, size);
  }

  /** Shows the end of the log. */
  async end(): Promise<void> {
    // Asked anew, because it may have grown by much.
    this.#size = (await this.#read(0, 1)).size;
    this.#restart(this.#size);
    await this.before();
    await this.after();
  }

  /** Shows the line of a byte, and what is around it. */
  async around(offset: number): Promise<void> {
    const start = Math.max(0, offset - CHUNK);
    const { bytes, size } = await this.#read(start, offset - start);
    this.#size = size;
    this.#restart(start === 0 && !bytes.includes(LINE_FEED) ? 0 : start + beforeLast(bytes));
    await this.after();
    await this.before();
  }

  #restart(at: number): void {
    this.#lines = [];
    this.#from = this.#to = at;
  }

  /** Loads what is before the window. */
  async before(): Promise<void> {
    if (this.#from === 0) return;
    const start = Math.max(0, this.#from - CHUNK);
    const { bytes, size } = await this.#read(start, this.#from - start);
    this.#size = Math.max(this.#size, size);
    const cut = start === 0 ? 0 : afterFirst(bytes);
    const lines = split(bytes.subarray(cut), start + cut).slice(-CHUNK_LINES);
    const [first] = lines;
    if (first === undefined) return;
    this.#from = first.at;
    this.#lines = [...lines, ...this.#lines];
    this.#drop("end");
  }

  /** Loads what is after the window. Also what was added to its last line. */
  async after(): Promise<void> {
    const last = this.#lines.at(-1);
    const open = last !== undefined && !last.isEnded && last.next - last.at < CHUNK ? last : undefined;
    const start = open?.at ?? this.#to;
    const { bytes, size } = await this.#read(start, CHUNK);
    this.#size = size;
    const isLast = start + bytes.length >= size;
    const end = isLast ? bytes.length : beforeLast(bytes);
    const lines = split(bytes.subarray(0, end), start).slice(0, CHUNK_LINES);
    if (lines.length === 0) return;
    this.#lines = [...(open === undefined ? this.#lines : this.#lines.slice(0, -1)), ...lines];
    this.#to = lines.at(-1)!.next;
    this.#drop("start");
  }

  /** Drops lines at one end until the window is of its size. */
  #drop(end: "start" | "end"): void {
    let from = 0;
    let to = this.#lines.length;
    const isTooMuch = () =>
      to - from > MOST_LINES || this.#lines[to - 1]!.next - this.#lines[from]!.at > MOST_BYTES;
    while (to - from > 1 && isTooMuch())
      if (end === "start") from += 1;
      else to -= 1;
    this.#lines = this.#lines.slice(from, to);
    this.#from = this.#lines[0]?.at ?? this.#from;
    this.#to = this.#lines.at(-1)?.next ?? this.#to;
  }
}

/** Splits bytes into lines. `at`: the offset of the first byte. */
function split(bytes: Uint8Array, at: number): Line[] {
  const lines: Line[] = [];
  const decoder = new TextDecoder();
  for (let from = 0; from < bytes.length;) {
    const found = bytes.indexOf(LINE_FEED, from);
    const isEnded = found >= 0;
    const end = isEnded ? found : bytes.length;
    const next = isEnded ? end + 1 : end;
    // A carriage return before the line feed belongs to the end of the line.
    const cut = isEnded && end > from && bytes[end - 1] === 13 ? end - 1 : end;
    lines.push({ at: at + from, text: decoder.decode(bytes.subarray(from, cut)), next: at + next, isEnded });
    from = next;
  }
  return lines;
}

const isContinuation = (byte: number | undefined) => byte !== undefined && (byte & 0xc0) === 0x80;

/** Where the first whole line begins; in a long line: the first whole character. */
function afterFirst(bytes: Uint8Array): number {
  const found = bytes.indexOf(LINE_FEED);
  // A line feed at the very end leaves no line: the long line before it is shown.
  if (found >= 0 && found < bytes.length - 1) return found + 1;
  let cut = 0;
  while (cut < 3 && isContinuation(bytes[cut])) cut += 1;
  return cut;
}

/** Where the last whole line ends; in a long line: the last whole character. */
function beforeLast(bytes: Uint8Array): number {
  const found = bytes.lastIndexOf(LINE_FEED);
  if (found >= 0) return found + 1;
  let cut = bytes.length;
  while (cut > 0 && bytes.length - cut < 4 && isContinuation(bytes[cut - 1])) cut -= 1;
  // A lead byte at the end waits for the rest of its character.
  return cut > 0 && bytes[cut - 1]! >= 0xc0 ? cut - 1 : bytes.length;
}
