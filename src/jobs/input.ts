/** The stdin of a command: a file that is opened before the job is accepted, or a copy of the caller's own stdin. */
import { OrchesjobError } from "../job/errors.ts";
import { OWN_STDIN } from "../job/output.ts";
import { SystemError } from "../linux/ffi/call.ts";
import {
  closeFile,
  moveUp,
  openFile,
  readInto,
  removeFile,
  seek,
  syncDirectory,
  syncFile,
  writeAll,
} from "../linux/file.ts";
import { makeMemoryFile } from "../linux/pipe.ts";
import { statPath } from "../linux/stat.ts";
import { Transfer } from "../linux/transfer.ts";
import type { Context } from "../state/context.ts";
import { stdinFile } from "../state/paths.ts";

/** The most of the caller's stdin that is copied: it is in memory until the job is accepted. */
const MAX_BYTES = 64 * 1024 ** 2;
const CHUNK_BYTES = 262_144;
const OWN_DESCRIPTOR = 0;

/** The input of a job before it is accepted. */
export class Input {
  /** `source`: descriptor of the file itself, or (`isCopied`) of what is copied into a file of the job. */
  private constructor(
    readonly context: Context,
    readonly source: number,
    readonly isCopied: boolean,
  ) {}

  /**
   * Opens `stdin`, a path or OWN_STDIN. For OWN_STDIN, opens the copy that the job `from` has, or reads the caller's stdin to its
   * end if `from` is null. Throws `usage` if that is too much, `general` if a file cannot be opened.
   */
  static open(context: Context, stdin: string, from: string | null): Input {
    if (stdin !== OWN_STDIN) return new Input(context, openInput(stdin), false);
    if (from !== null) return new Input(context, openInput(stdinFile(context.home, from)), true);
    return new Input(context, readOwn(), true);
  }

  /** Returns a descriptor for the worker of this job, which the caller closes; stores a copy durably. Throws SystemError. */
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

  /** Deletes that copy, because the job was not accepted. */
  dropFor(jobId: string): void {
    if (this.isCopied) removeFile(stdinFile(this.context.home, jobId));
  }

  close(): void {
    closeFile(this.source);
  }
}

function openInput(path: string): number {
  const kind = statPath(path)?.kind;
  // Opening a FIFO would wait for a writer, and a rerun would find nothing in it.
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
        "write it to a file and use that: --stdin FILE",
      );
    }
    writeAll(copy, chunk.subarray(0, count));
  }
}
