/**
 * Recognizes scripts. If the first line names no interpreter, execvp(3) runs a script with /bin/sh, and so do shells, env and
 * cron.
 */
import { SystemError } from "./ffi/call.ts";
import { closeFile, openFile, readInto } from "./file.ts";

export const SHELL = "/bin/sh";

/** How far we look: a program has a NUL byte before that, and in its first line. bash looks no further either. */
const HEAD_BYTES = 4096;
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** Whether a file that the kernel cannot execute is text, and so may be a script. */
export function isText(path: string): boolean {
  // No shell can run a file that it may not read.
  return readFirstLine(path)?.includes(0) === false;
}

/** Whether its first line ends with a carriage return, as on Windows: that becomes part of the interpreter's name. */
export function hasCarriageReturn(path: string): boolean {
  return readFirstLine(path)?.at(-1) === CARRIAGE_RETURN;
}

/** Returns the first line, or its beginning, without its end; undefined if the file may not be read. */
function readFirstLine(path: string): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openFile(path, "read");
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  try {
    const buffer = new Uint8Array(HEAD_BYTES);
    const head = buffer.subarray(0, readInto(fd, buffer));
    const end = head.indexOf(NEWLINE);
    return head.subarray(0, end < 0 ? head.length : end);
  } finally {
    closeFile(fd);
  }
}
