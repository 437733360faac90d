/** Where a copier puts what it reads from a pipe. */
import { closeFile } from "../linux/file.ts";

export interface LogSink {
  /** The file that gets the next bytes, at its end, and how many. Undefined if it cannot be written now. */
  place(): { readonly fd: number; readonly room: number } | undefined;
  /** The file has got bytes, and now ends at this offset. */
  took(fd: number, end: number): void;
  /** Puts into the log what is to be there at the end. Returns false if it cannot be written now. */
  finish(): boolean;
  /** Bytes that are in no log, as of the last `finish`. */
  readonly dropped: number;
  close(): void;
}

/** The log itself, whatever comes. */
export class WholeLog implements LogSink {
  readonly dropped = 0;

  constructor(
    /** Open for writing, but not for appending, which splice(2) refuses; `close` closes it. */
    readonly log: number,
    readonly onCopied: (end: number) => void,
  ) {}

  place() {
    return { fd: this.log, room: Number.POSITIVE_INFINITY };
  }

  took(_fd: number, end: number): void {
    this.onCopied(end);
  }

  finish(): boolean {
    return true;
  }

  close(): void {
    closeFile(this.log);
  }
}
