/** Whether the caller offers us input on stdin. Reads nothing, and does not wait. */
import { SystemError } from "./ffi/call.ts";
import { libc } from "./ffi/libc.ts";
import { pollFor, POLLIN } from "./poll.ts";
import { statFd } from "./stat.ts";

const STDIN = 0;
const SEEK_CUR = 1;

/**
 * True for a pipe with something in it, and for a file of which nothing has been read. An empty pipe means nothing: ssh, cron
 * and Airflow give one that stays open. Nor does a file that another process is reading (`while read LINE; do orchesjob …;
 * done < FILE`).
 */
export function isInputOffered(): boolean {
  try {
    const facts = statFd(STDIN);
    if (facts?.kind === "fifo") return (pollFor([[STDIN, POLLIN]], 0)[0]! & POLLIN) !== 0;
    return facts?.kind === "file" && facts.size > 0 && Number(libc.lseek(STDIN, 0, SEEK_CUR)) === 0;
  } catch (error) {
    // stdin is closed.
    if (error instanceof SystemError) return false;
    throw error;
  }
}
