/** How soon the kernel kills us when memory is out: proc(5), /proc/PID/oom_score_adj. */
import { closeFile, openFile, writeAll } from "./file.ts";
import { SystemError } from "./libc.ts";

/** All but exempt: where nothing else is left in a group, its limit must still be kept. */
const LAST = "-900";

/** Makes others go first, for root; nobody else may. Children that we start from now on inherit it. */
export function becomeLastToKill(): void {
  try {
    const fd = openFile("/proc/self/oom_score_adj", "poke");
    try {
      writeAll(fd, new TextEncoder().encode(LAST));
    } finally {
      closeFile(fd);
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}
