/** What a command reads: a file that is opened before anything is accepted, or a copy of the caller's own stdin. */
import { OrchesjobError } from "../job/errors.ts";
import { OWN_STDIN } from "../job/output.ts";
import { SystemError } from "../linux/ffi/call.ts";
import {
  closeFile,
  makeMemoryFile,
  moveUp,
  openFile,
  readInto,
  removeFile,
  seek,
  syncDirectory,
  syncFile,
  writeAll,
} from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { Transfer } from "../linux/transfer.ts";
import type { Context } from "../state/context.ts";
import { stdinFile } from "../state/paths.ts";

/** What is kept of the caller's stdin: it is in memory until the job is accepted. */
const MAX_BYTES = 64 * 1024 ** 2;
const CHUNK_BYTES = 262_144;
const OWN_DESCRIPTOR = 0;

/** The input of a job that is yet to be accepted. */
export class Input {
  /** `source`: the file itself, or what will be copied into one of the job's own. */
  private constructor(
    readonly context: Context,
    readonly source: number,
    readonly isCopied: boolean,
  ) {}

  /**
   * `stdin` as a job has it; that of the job `from`, where it has a copy of its own. Reads the caller's stdin to its end.
   * Throws `usage` where that is too much, `general` where the file cannot be opened.
   */
  static open(context: Context, stdin: string, from: string | null): Input {
    if (stdin !== OWN_STDIN) return new Input(context, openInput(stdin), false);
    if (from !== null) return new Input(context, openInput(stdinFile(context.home, from)), true);
    return new Input(context, readOwn(), true);
  }

  /** Makes it durable for a job of this id; returns the descriptor for its worker, which the caller closes. Throws SystemError. */
  placeFor(jobId: string): number {
    if (!this.isCopied) return moveUp(openFile(`/proc/self/fd/${this.source}`, "read"));
    const path = stdinFile(this.context.home, jobId);
    try {
      const file = openFile(path, "append");
      try {
        seek(this.source, 0);
        const transfer = new Transfer(this.source, file, 0);
        while (!transfer.atEnd) transfer.step();
        syncFile(file, path);
      } finally {
        closeFile(file);
      }
      syncDirectory(this.context.home.logs);
      return moveUp(openFile(path, "read"));
    } catch (error) {
      this.dropFor(jobId);
      throw error;
    }
  }

  /** The job was not accepted. */
  dropFor(jobId: string): void {
    if (this.isCopied) removeFile(stdinFile(this.context.home, jobId));
  }

  close(): void {
    closeFile(this.source);
  }
}

function openInput(path: string): number {
  const kind = statPath(path)?.kind;
  // At a FIFO we would wait for whoever writes to it, and a rerun would find nothing there.
  if (kind !== undefined && kind !== "file") {
    throw new OrchesjobError(
      "general",
      `--stdin takes a file, and ${path} is not a regular file`,
      "to pass on what a program writes: PROGRAM | orchesjob … --stdin -",
    );
  }
  try {
    return moveUp(openFile(path, "read"));
  } catch (error) {
    if (error instanceof SystemError)
      throw new OrchesjobError("general", `${error.message}; nothing was started`);
    throw error;
  }
}

function readOwn(): number {
  const copy = makeMemoryFile(new Uint8Array(0));
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let total = 0; ;) {
    const count = readInto(OWN_DESCRIPTOR, chunk);
    if (count === 0) return copy;
    total += count;
    if (total > MAX_BYTES) {
      throw new OrchesjobError(
        "usage",
        `--stdin - takes up to ${MAX_BYTES / 1024 ** 2} MiB, and there is more`,
        "write it to a file, and give that: --stdin FILE",
      );
    }
    writeAll(copy, chunk.subarray(0, count));
  }
}
