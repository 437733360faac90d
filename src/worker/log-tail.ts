/**
 * The end of a stream whose log has no more room for it: two files, of which the older is replaced when the newer is full. Each
 * file says where it begins, so a copier goes on where one that was killed has stopped, and nothing is missing.
 */
import {
  closeFile,
  openFile,
  readAll,
  removeFile,
  renameFile,
  seek,
  seekToEnd,
  writeAll,
} from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { TAIL_HEADER_BYTES, type TailFiles } from "../state/paths.ts";

interface Part {
  readonly fd: number;
  /** How much of the tail came before this file, in bytes. */
  readonly offset: number;
}

export class LogTail {
  #before: Part | undefined;
  #newest: Part | undefined;
  /** Where the log ended when the tail began. */
  #base = 0;

  /** Finds what a copier that was killed has left. `partBytes`: how much a file gets. Throws SystemError. */
  constructor(
    readonly files: TailFiles,
    readonly partBytes: number,
  ) {
    const { tail, before, next } = files;
    // It was killed between the two renames.
    const isBetween = [next, before].every((path) => statPath(path) !== undefined);
    if (isBetween && statPath(tail) === undefined) renameFile(next, tail);
    const newest = open(tail);
    if (newest === undefined) {
      this.remove();
      return;
    }
    removeFile(next);
    this.#newest = newest;
    this.#base = newest.base;
    const previous = open(before);
    if (previous !== undefined && previous.offset + lengthOf(previous) === newest.offset)
      this.#before = previous;
    else if (previous !== undefined) closeFile(previous.fd);
  }

  get isThere(): boolean {
    return this.#newest !== undefined;
  }

  get base(): number {
    return this.#base;
  }

  /** How many bytes have gone into the tail. */
  get total(): number {
    return this.#newest === undefined ? 0 : this.#newest.offset + lengthOf(this.#newest);
  }

  /** The file that gets the next bytes, at its end, and how many. `base`: where the log ends. Throws SystemError. */
  place(base: number): { readonly fd: number; readonly room: number } {
    if (this.#newest === undefined) {
      this.#base = base;
      this.#newest = this.#make(0);
      renameFile(this.files.next, this.files.tail);
    } else if (lengthOf(this.#newest) >= this.partBytes) this.#turn(this.#newest);
    return { fd: this.#newest.fd, room: this.partBytes - lengthOf(this.#newest) };
  }

  /** The last bytes, of which there are `partBytes` at least, unless there were never so many. Throws SystemError. */
  last(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let missing = length;
    for (const part of [this.#newest, this.#before]) {
      if (part === undefined) continue;
      const size = lengthOf(part);
      const count = Math.min(size, missing);
      seek(part.fd, TAIL_HEADER_BYTES + size - count);
      readAll(part.fd, bytes.subarray(missing - count, missing));
      missing -= count;
    }
    return bytes.subarray(missing);
  }

  /** Deletes the files. The newest goes first: without it, the others mean nothing. Throws SystemError. */
  remove(): void {
    const { tail, before, next } = this.files;
    for (const path of [tail, before, next]) removeFile(path);
    this.close();
    this.#newest = this.#before = undefined;
  }

  close(): void {
    for (const part of [this.#newest, this.#before]) if (part !== undefined) closeFile(part.fd);
  }

  /** Goes on with a new file. */
  #turn(full: Part): void {
    const next = this.#make(full.offset + lengthOf(full));
    // Otherwise `clean` has deleted the job's files: the new one gets no name either.
    if (renameFile(this.files.tail, this.files.before)) renameFile(this.files.next, this.files.tail);
    else removeFile(this.files.next);
    if (this.#before !== undefined) closeFile(this.#before.fd);
    this.#before = full;
    this.#newest = next;
  }

  #make(offset: number): Part {
    const { next } = this.files;
    removeFile(next);
    const fd = openFile(next, "make");
    try {
      writeAll(fd, new Uint8Array(Float64Array.of(this.#base, offset).buffer));
    } finally {
      closeFile(fd);
    }
    return { fd: openFile(next, "both"), offset };
  }
}

function lengthOf({ fd }: Part): number {
  return seekToEnd(fd) - TAIL_HEADER_BYTES;
}

/** Undefined if there is none, or something else in its place. */
function open(path: string): (Part & { readonly base: number }) | undefined {
  if (statPath(path)?.kind !== "file") return undefined;
  const fd = openFile(path, "both");
  const header = new Float64Array(TAIL_HEADER_BYTES / Float64Array.BYTES_PER_ELEMENT);
  const count = readAll(fd, new Uint8Array(header.buffer));
  if (count === TAIL_HEADER_BYTES) return { fd, base: header[0]!, offset: header[1]! };
  closeFile(fd);
  return undefined;
}
