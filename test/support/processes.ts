/** Inspects processes, signals them, and waits for their end. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isAlive, type JobAnswer, type Sandbox, until } from "./sandbox.ts";

/** A file of /proc about a process; empty if the process is gone, which may happen at any moment. */
export function readProc(pid: number, name: "cmdline" | "comm" | "status"): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}

/** Sends SIGKILL and waits for the process to end. */
export async function killAndWait(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(`the end of process ${pid}`, () => !isAlive(pid) && threadsOf(pid) <= 1);
}

/** The first thread may be a zombie while others still hold the process's files. */
function threadsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).length;
  } catch {
    return 0;
  }
}

/** Kills the worker of a running job; its command lives on. */
export async function killWorker(job: JobAnswer): Promise<void> {
  await killAndWait(job.worker_pid!);
}

/** The state letter of proc(5): R, S, T, Z, …; undefined if there is no such process. */
export function stateOf(pid: number): string | undefined {
  try {
    return /^\d+ \(.*\) (.)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}

export async function stop(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await until(`process ${pid} is stopped`, () => stateOf(pid) === "T");
}

/** The processes of the sandbox whose command line contains all words. */
export function findProcesses(box: Sandbox, ...words: readonly string[]): number[] {
  return box.processes().filter((pid) => {
    const line = readProc(pid, "cmdline").split("\0");
    return words.every((word) => line.includes(word));
  });
}

/** The children of `pid`, as pids of this PID namespace. */
export function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => {
      try {
        return new RegExp(`^\\d+ \\(.*\\) . ${pid} `, "s").test(
          readFileSync(`/proc/${candidate}/stat`, "utf8"),
        );
      } catch {
        return false;
      }
    });
}

/** The paths of all open files of a process; empty if it is gone. */
export function openFiles(pid: number): string[] {
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

export function hasOpen(pid: number, path: string): boolean {
  return openFiles(pid).includes(path);
}

/** Whether a keeper, or `wait --orphans`, has the pidfds of the command and of a process that it waits for. */
export function watchesProcesses(pid: number): boolean {
  return openFiles(pid).filter((path) => path.includes("pidfd")).length >= 2;
}

/** The processor time that a process has used, in seconds. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** How many voluntary context switches a process has made; a process that polls makes many. */
export function sleeps(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(text)?.[1]);
}

export async function statusOf(box: Sandbox, runKey: string): Promise<JobAnswer> {
  return box.json(["status", "--run-key", runKey]);
}
