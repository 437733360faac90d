/** A script without a first line that names its interpreter: execvp(3) has /bin/sh run it, and so do shells, env and cron. */
import { SystemError } from "./ffi/call.ts";
import { closeFile, openFile, readInto } from "./file.ts";

export const SHELL = "/bin/sh";

/** A program has a NUL byte before that, and in its first line; bash looks no further either. */
const HEAD_BYTES = 4096;
const NEWLINE = 10;

/** Whether a file that the kernel cannot execute is a text, and so may be a script. */
export function isText(path: string): boolean {
  let fd: number;
  try {
    fd = openFile(path, "read");
  } catch (error) {
    // One that may only be executed, and not be read, no shell could run.
    if (error instanceof SystemError) return false;
    throw error;
  }
  try {
    const buffer = new Uint8Array(HEAD_BYTES);
    const head = buffer.subarray(0, readInto(fd, buffer));
    const end = head.indexOf(NEWLINE);
    return !head.subarray(0, end < 0 ? head.length : end).includes(0);
  } finally {
    closeFile(fd);
  }
}
