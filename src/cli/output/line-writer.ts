/** Writes the lines of a job's output to a descriptor, with the time and the stream in front if that is wanted. */
import type { Instant } from "../../job/job.ts";
import type { Line } from "../../jobs/log-lines.ts";
import type { LineSink } from "../../jobs/timed-logs.ts";
import { writeAll } from "../../linux/file.ts";
import type { LogStream } from "../../state/paths.ts";
import { formatInstant } from "../options/time.ts";

const BUFFER_BYTES = 65_536;
const NEWLINE = 10;
const encoder = new TextEncoder();
const LINE_END = new Uint8Array([NEWLINE]);

export class LineWriter implements LineSink {
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #length = 0;
  /** The stream of the last line, if that line has no end yet. */
  #open: LogStream | undefined;
  #time: Instant | undefined;
  #formatted = "";

  constructor(
    readonly descriptor: number,
    readonly shown: { readonly time: boolean; readonly stream: boolean },
  ) {}

  take({ stream, time, bytes, isContinued }: Line): void {
    const goesOn = isContinued && this.#open === stream;
    if (!goesOn) {
      // A line of another stream begins a line of its own.
      if (this.#open !== undefined) this.#write(LINE_END);
      if (this.shown.time) this.#write(encoder.encode(this.#prefix(stream, time)));
    }
    this.#write(bytes);
    this.#open = bytes[bytes.length - 1] === NEWLINE ? undefined : stream;
  }

  flush(): void {
    const bytes = this.#buffer.subarray(0, this.#length);
    this.#length = 0;
    writeAll(this.descriptor, bytes);
  }

  #prefix(stream: LogStream, time: Instant): string {
    if (time !== this.#time) this.#formatted = formatInstant(time);
    this.#time = time;
    return this.shown.stream ? `${this.#formatted} ${stream} ` : `${this.#formatted} `;
  }

  #write(bytes: Uint8Array): void {
    if (this.#length + bytes.length > BUFFER_BYTES) this.flush();
    if (bytes.length > BUFFER_BYTES) return writeAll(this.descriptor, bytes);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}
