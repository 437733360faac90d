/** How soon the OOM killer kills us: proc(5), /proc/PID/oom_score_adj. */
import { SystemError } from "./ffi/call.ts";
import { closeFile, openFile, readTextIfAny, writeAll } from "./file.ts";

/** Almost exempt. Not quite, because the limit of a group must hold even if nothing else is left in it. */
const LAST = "-900";

const PATH = "/proc/self/oom_score_adj";

/** The score before; undefined if we have not changed it. */
let before: string | undefined;

/** Makes the OOM killer take other processes first. Only root may do that. Children that we start from now on inherit it. */
export function becomeLastToKill(): void {
  const own = readTextIfAny(PATH);
  if (write(LAST)) before = own;
}

/** Restores the score. */
export function becomeOrdinary(): void {
  if (before !== undefined) write(before);
}

/** Returns false if we may not. */
function write(score: string): boolean {
  try {
    const fd = openFile(PATH, "write");
    try {
      writeAll(fd, new TextEncoder().encode(score));
      return true;
    } finally {
      closeFile(fd);
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return false;
  }
}
