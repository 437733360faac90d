/** Processes of a job of which only the id is known. */
import { libc } from "../linux/ffi/libc.ts";
import { isLiving, type ProcessStat, readProcess } from "../linux/self.ts";
import { commandLine, holdsLock, ownerOf, readMarks, readProcesses, readVariable } from "./proc.ts";
import { RUN_KEY_VARIABLE } from "./variables.ts";

export function isWorkerCommand(words: readonly string[], jobId: string): boolean {
  const verb = words.indexOf("_worker");
  return verb >= 0 && words.indexOf(jobId, verb) === words.indexOf("--job-id", verb) + 1;
}

/**
 * The worker of a job, ours or the Python one's, where we can see it. Anybody may write the words of its command line: it must
 * be a process of the directory's owner, who we are, or of root.
 */
export function findWorker(jobId: string): ProcessStat | undefined {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || !isWorkerCommand(commandLine(Number(name)), jobId)) continue;
    const holder = readProcess(Number(name));
    if (isLiving(holder) && [0, libc.geteuid()].includes(ownerOf(holder.pid) ?? -1)) return holder;
  }
  return undefined;
}

/**
 * The processes that are of a job of which nothing is known but its id, by their environment or because they hold the lock of
 * its output; and its run key as they know it. Only our own user's: anybody may write an id into his environment.
 */
export function findNamed(
  jobId: string,
  heldLogs: readonly string[],
): { readonly pids: readonly number[]; readonly runKey: string | undefined } {
  const pids: number[] = [];
  let runKey: string | undefined;
  for (const { pid } of readProcesses()) {
    const marks = readMarks(pid);
    const isNamed = marks.jobId === jobId && marks.hookOf !== jobId && ownerOf(pid) === libc.geteuid();
    if (!isNamed && !(heldLogs.length > 0 && holdsLock(pid, heldLogs))) continue;
    if (pid === process.pid) continue;
    pids.push(pid);
    runKey ??= readVariable(pid, RUN_KEY_VARIABLE);
  }
  return { pids, runKey };
}

/** What can be seen of a worker from outside. */
export interface SeenWorker {
  readonly pid: number;
  readonly isStopped: boolean;
  readonly runKey: string | undefined;
  /** Of its oldest child. */
  readonly command: string | undefined;
}

/** The worker of a job, whatever is known of the job; undefined where it is out of sight. */
export function describeWorker(jobId: string): SeenWorker | undefined {
  const worker = findWorker(jobId);
  if (worker === undefined) return undefined;
  const children = readProcesses().filter(({ parentPid }) => parentPid === worker.pid);
  const [oldest] = children.sort((a, b) => a.startTicks - b.startTicks);
  const words = oldest === undefined ? [] : commandLine(oldest.pid).slice(0, -1);
  return {
    pid: worker.pid,
    isStopped: worker.state === "T",
    runKey: readVariable(worker.pid, RUN_KEY_VARIABLE),
    command: words.length === 0 ? undefined : words.join(" "),
  };
}
