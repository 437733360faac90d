/** How soon the kernel kills us when memory is out: proc(5), /proc/PID/oom_score_adj. */
import { SystemError } from "./ffi/call.ts";
import { closeFile, openFile, readTextIfAny, writeAll } from "./file.ts";

/** All but exempt: where nothing else is left in a group, its limit must still be kept. */
const LAST = "-900";

const PATH = "/proc/self/oom_score_adj";

/** What it was before; undefined where we have not changed it. */
let before: string | undefined;

/** Makes others go first, for root; nobody else may. Children that we start from now on inherit it. */
export function becomeLastToKill(): void {
  const own = readTextIfAny(PATH);
  if (write(LAST)) before = own;
}

/** Takes it back. */
export function becomeOrdinary(): void {
  if (before !== undefined) write(before);
}

/** False where we may not. */
function write(score: string): boolean {
  try {
    const fd = openFile(PATH, "poke");
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
