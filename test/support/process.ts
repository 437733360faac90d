/** What /proc says of a process. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Whether a process has a file open. */
export function hasOpen(pid: number, path: string): boolean {
  return openFiles(pid).includes(path);
}

/** What a process has open; nothing where it is gone. */
function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed meanwhile.
    return "";
  }
}

/** Processor time that a process has used, in seconds. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** How often a process went to sleep of its own accord, which a process that polls does again and again. */
export function sleeps(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(text)?.[1]);
}
