/** What a process has read from storage and written to it: proc(5), /proc/PID/io. */
import { NO_TRANSFER, type Transfer } from "../job/usage.ts";
import { readTextIfAny } from "./file.ts";

/**
 * Counts also the descendants that the process has waited for. Not known if the kernel does not count, or the process is one
 * that we may not look into (it is another user's, for example).
 */
export function readTransfer(pid: number | "self"): Transfer {
  const text = readTextIfAny(`/proc/${pid}/io`);
  if (text === undefined) return NO_TRANSFER;
  return { ioReadBytes: countOf(text, "read_bytes"), ioWriteBytes: countOf(text, "write_bytes") };
}

function countOf(text: string, name: string): number | null {
  const count = new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1];
  return count === undefined ? null : Number(count);
}
