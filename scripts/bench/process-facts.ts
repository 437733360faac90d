/** Reads what the kernel counts for a living process, all threads together. */
import { readdirSync, readFileSync } from "node:fs";

/** kB that no other process shares, and the process's fair share of all it has mapped. */
export function memoryOf(pid: number): { readonly privateKb: number; readonly pssKb: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)![1]);
  return { privateKb: field("Private_Clean") + field("Private_Dirty"), pssKb: field("Pss") };
}

/** The peak memory of a process, in kB; 0 if it has just ended. */
export function peakMemoryOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Processor time used so far, in ms (from schedstat: /proc/PID/stat counts in steps of 10), and how often it went to sleep. */
export function effortOf(pid: number): { readonly cpuMs: number; readonly sleeps: number } {
  let cpuMs = 0;
  let sleeps = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const task = `/proc/${pid}/task/${thread}`;
      cpuMs += Number(readFileSync(`${task}/schedstat`, "utf8").split(" ")[0]) / 1_000_000;
      const status = readFileSync(`${task}/status`, "utf8");
      sleeps += Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1] ?? 0);
    } catch {
      // The thread has just ended; its time is not counted any more.
    }
  }
  return { cpuMs, sleeps };
}
