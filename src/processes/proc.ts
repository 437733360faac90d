/** Reads what /proc says about processes: who they are, whose they are, and which job they name. */
import { readLink, readTextIfAny } from "../linux/file.ts";
import { isLiving, type ProcessStat, readProcess } from "../linux/self.ts";
import { statPath } from "../linux/stat.ts";
import { HOOK_VARIABLE, JOB_ID_VARIABLE, RUN_KEY_VARIABLE, TOKEN_VARIABLE } from "./variables.ts";

/** USER_HZ, the unit of startTicks: 100 on every Linux that Bun runs on. */
const TICKS_PER_SECOND = 100;

/**
 * Whether a process has one of the files open and locked. A process that has opened the file anew, to read it, has no lock.
 */
export function holdsLock(pid: number, paths: readonly string[]): boolean {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  try {
    return readdirSync(`/proc/${pid}/fd`).some(
      (fd) =>
        paths.includes(readLink(`/proc/${pid}/fd/${fd}`)) &&
        /^lock:.* FLOCK /m.test(readTextIfAny(`/proc/${pid}/fdinfo/${fd}`) ?? ""),
    );
  } catch {
    // The process has ended meanwhile, or we may not look into it.
    return false;
  }
}

/** orchesjob's variables in the environment of a process. */
export interface Marks {
  readonly jobId: string | undefined;
  readonly token: string | undefined;
  readonly hookOf: string | undefined;
  readonly runKey: string | undefined;
}

export function readMarks(pid: number): Marks {
  const entries = readTextIfAny(`/proc/${pid}/environ`)?.split("\0");
  const valueOf = (name: string) =>
    entries?.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  return {
    jobId: valueOf(JOB_ID_VARIABLE),
    token: valueOf(TOKEN_VARIABLE),
    hookOf: valueOf(HOOK_VARIABLE),
    runKey: valueOf(RUN_KEY_VARIABLE),
  };
}

/** The fields of a process that /proc hides: only its identity is known. */
export const HIDDEN = { state: "", parentPid: 0, processGroup: 0, session: 0, threads: 1 } as const;

/** Whether /proc shows only our own processes (hidepid=): then the first process is invisible. */
export function isHiding(): boolean {
  return readProcess(1) === undefined;
}

/** The user that a process runs as; undefined if it has ended or is hidden. */
export function ownerOf(pid: number): number | undefined {
  return statPath(`/proc/${pid}`)?.uid;
}

export function commandLine(pid: number): readonly string[] {
  return readTextIfAny(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
}

/**
 * Returns a caller's processes: the process, its ancestors, and its process group (a pipeline, for example). They share the
 * variables that somebody has exported.
 */
export function callerProcesses(pid: number): ReadonlySet<number> {
  const found = new Set<number>();
  const own = readProcess(pid);
  if (own === undefined) return found;
  for (let current: ProcessStat | undefined = own; current !== undefined && !found.has(current.pid);) {
    found.add(current.pid);
    current = readProcess(current.parentPid);
  }
  for (const entry of readProcesses()) if (entry.processGroup === own.processGroup) found.add(entry.pid);
  return found;
}

/** The pids in /proc. */
export function readPids(): readonly number[] {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

export function readProcesses(): ProcessStat[] {
  return readPids().map(readProcess).filter(isLiving);
}

/** Seconds since the process started; undefined if /proc hides it. */
export function ageOf(entry: ProcessStat): number | undefined {
  if (entry.state === HIDDEN.state) return undefined;
  const uptime = Number((readTextIfAny("/proc/uptime") ?? "0").split(" ")[0]);
  return Math.max(0, uptime - entry.startTicks / TICKS_PER_SECOND);
}
