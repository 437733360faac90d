/** Finds processes of a job by its id alone. */
import { libc } from "../linux/ffi/libc.ts";
import { isLiving, type ProcessStat, readProcess } from "../linux/self.ts";
import { commandLine, holdsLock, ownerOf, readMarks, readPids, readProcesses } from "./proc.ts";
import { isHookOf } from "./variables.ts";

export function isWorkerCommand(words: readonly string[], jobId: string): boolean {
  const verb = words.indexOf("_worker");
  return verb >= 0 && words.indexOf(jobId, verb) === words.indexOf("--job-id", verb) + 1;
}

/**
 * Finds the worker of a job, ours or the Python orchesjob's, if we can see it. Anybody can write these words into a command
 * line, so the process must belong to the owner of the directory, who we are, or to root.
 */
export function findWorker(jobId: string): ProcessStat | undefined {
  for (const pid of readPids()) {
    if (!isWorkerCommand(commandLine(pid), jobId)) continue;
    const holder = readProcess(pid);
    if (isLiving(holder) && [0, libc.geteuid()].includes(ownerOf(holder.pid) ?? -1)) return holder;
  }
  return undefined;
}

/**
 * Finds the processes of a job of which only the id is known, by their environment or by the lock on its output, and its run
 * key as their environment has it. The environment counts only for processes of our own user: anybody can write an id into an
 * environment.
 */
export function findNamed(
  jobId: string,
  heldLogs: readonly string[],
): { readonly pids: readonly number[]; readonly runKey: string | undefined } {
  const pids: number[] = [];
  let runKey: string | undefined;
  for (const { pid } of readProcesses()) {
    const marks = readMarks(pid);
    const isNamed =
      marks.jobId === jobId && !isHookOf(marks.hookOf, jobId) && ownerOf(pid) === libc.geteuid();
    if (!isNamed && !(heldLogs.length > 0 && holdsLock(pid, heldLogs))) continue;
    if (pid === process.pid) continue;
    pids.push(pid);
    runKey ??= marks.runKey;
  }
  return { pids, runKey };
}

/** What other processes can see of a worker. */
export interface SeenWorker {
  readonly pid: number;
  readonly isStopped: boolean;
  readonly runKey: string | undefined;
  /** Command line of its oldest child. */
  readonly command: string | undefined;
}

/** Describes the worker of a job, whatever else is known of the job; undefined if we cannot see it. */
export function describeWorker(jobId: string): SeenWorker | undefined {
  const worker = findWorker(jobId);
  if (worker === undefined) return undefined;
  const children = readProcesses().filter(({ parentPid }) => parentPid === worker.pid);
  const [oldest] = children.sort((a, b) => a.startTicks - b.startTicks);
  const words = oldest === undefined ? [] : commandLine(oldest.pid).slice(0, -1);
  return {
    pid: worker.pid,
    isStopped: worker.state === "T",
    runKey: readMarks(worker.pid).runKey,
    command: words.length === 0 ? undefined : words.join(" "),
  };
}
