/** Scripts. One without a first line that names its interpreter execvp(3) has /bin/sh run, and so do shells, env and cron. */
import { closeFile, openFile, readInto } from "./file.ts";
import { SystemError } from "./libc.ts";

export const SHELL = "/bin/sh";

/** A program has a NUL byte before that, and in its first line; bash looks no further either. */
const HEAD_BYTES = 4096;
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** Whether a file that the kernel cannot execute is a text, and so may be a script. */
export function isText(path: string): boolean {
  // One that may only be executed, and not be read, no shell could run.
  return readFirstLine(path)?.includes(0) === false;
}

/** Whether its first line ends as on Windows, which makes the carriage return part of the interpreter's name. */
export function hasCarriageReturn(path: string): boolean {
  return readFirstLine(path)?.at(-1) === CARRIAGE_RETURN;
}

/** Without its end, and no more than a beginning; undefined where the file may not be read. */
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
