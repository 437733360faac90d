/**
 * Describes the processes that survived their job, with a hint that works for the reader: what to type to end them. Loaded only
 * if there are such processes.
 */
import { replaceControlCharacters } from "../job/control-characters.ts";
import { formatDuration, formatExactly } from "../job/duration.ts";
import type { Job } from "../job/job.ts";
import { libc } from "../linux/ffi/libc.ts";
import { userName } from "../linux/ffi/users.ts";
import { maySignal } from "../linux/pidfd.ts";
import { type ProcessStat, readProcess } from "../linux/self.ts";
import { probeGroup } from "../linux/signals.ts";
import type { JobProcesses } from "../processes/job-processes.ts";
import { ageOf, commandLine, isHiding, ownerOf } from "../processes/proc.ts";
import type { Context } from "../state/context.ts";
import { outputFiles } from "../state/paths.ts";

export interface Survivors {
  /** How the job was ended: `job … was cancelled`. */
  readonly end: string;
  /** `its command still runs: process …`. */
  readonly who: string;
  readonly hint: string;
}

const SHOWN = 5;
const COMMAND_CHARACTERS = 60;

/** `isTried`: the reader has just cancelled the job, so the hint must be another. */
export function describeSurvivors(
  context: Context,
  job: Job,
  orphans: JobProcesses,
  isTried = false,
): Survivors {
  const end = describeEnd(job);
  if (orphans.seen.length === 0) return { end, ...describeUnseen(context, job) };
  const shown = orphans.seen.slice(0, SHOWN).map(describeProcess).join(", ");
  const more = orphans.seen.length > SHOWN ? `, and ${orphans.seen.length - SHOWN} more` : "";
  const age = orphans.seen.map(ageOf).find((seconds) => seconds !== undefined);
  const since = age === undefined ? "" : `, for ${formatDuration(age * 1000)}`;
  const noun = orphans.seen.length === 1 ? "process" : "processes";
  return {
    end,
    who: `its command still runs: ${noun} ${shown}${more}${since}`,
    hint: findHint(job, orphans.seen, isTried),
  };
}

function describeEnd({ jobId, status, failure, error, timeoutMs }: Job): string {
  if (status === "LOST") return `the worker of job ${jobId} is lost`;
  if (status === "CANCELLED") return `job ${jobId} was cancelled`;
  if (failure !== "timed_out") return `job ${jobId} was ended (${error})`;
  return `job ${jobId} timed out after ${formatExactly(timeoutMs ?? 0)}`;
}

/** `4711 (sudo pay A; user root)`. */
function describeProcess({ pid, state }: ProcessStat): string {
  const uid = ownerOf(pid);
  if (uid === undefined)
    return isHiding() ? `${pid} (hidden from you: /proc is mounted with hidepid)` : `${pid} (ending)`;
  const words = replaceControlCharacters(commandLine(pid).join(" "), " ").trim();
  const facts = [words.length > COMMAND_CHARACTERS ? `${words.slice(0, COMMAND_CHARACTERS)}…` : words];
  if (uid !== libc.geteuid()) facts.push(`user ${userName(uid) ?? uid}`);
  if (state === "D" || state === "T") facts.push(state === "D" ? "state D" : "stopped");
  const details = facts.filter((fact) => fact !== "").join("; ");
  return details === "" ? `${pid}` : `${pid} (${details})`;
}

function findHint({ jobId }: Job, seen: readonly ProcessStat[], isTried: boolean): string {
  // Foreign: may not be signalled from here, and still exists.
  const foreign = seen.filter(({ pid }) => !maySignal(pid) && (isHiding() || ownerOf(pid) !== undefined));
  const stuck = seen.filter((entry) => isStuck(entry) && !foreign.includes(entry));
  const ways: string[] = [];
  if (stuck.length < seen.length) ways.push("wait for its end, or end it:");
  const ours = seen.filter((entry) => !foreign.includes(entry) && !stuck.includes(entry));
  if (ours.length > 0)
    // cancel spares only processes with no other witness than the session number, which may be a reused one.
    ways.push(
      isTried
        ? `kill ${pids(ours)}, if ${ours.length === 1 ? "it belongs" : "they belong"} to the job at all`
        : `orchesjob cancel --job-id ${jobId}`,
    );
  if (foreign.length > 0) {
    // sudo does not help root if it lacks CAP_KILL or a system call filter forbids kill(2).
    const isRoot = libc.geteuid() === 0;
    const kill = isRoot ? "kill" : "sudo kill";
    const words = pids(foreign);
    // After a cancel, the process has already ignored TERM.
    const harder = isTried ? `, or ${kill} -9 ${words}` : "";
    const where = isRoot ? " from a shell that is allowed to signal it (this one is not)" : "";
    ways.push(`${ways.length > 1 ? "and " : ""}${kill} ${words}${harder}${where}`);
  }
  if (stuck.length > 0)
    ways.push(
      `${ways.length > 0 ? "but " : ""}${stuck.length === 1 ? `process ${pids(stuck)} waits` : `processes ${pids(stuck)} wait`} in the kernel (state D) for a device or a file system: only that, or a reboot, ends ${stuck.length === 1 ? "it" : "them"}`,
    );
  return ways.join(" ");
}

/** Several looks, because a process that writes to a disk is in state D for moments. */
const STUCK_LOOKS = 5;
const STUCK_PAUSE_MS = 20;

function isStuck({ pid, state }: ProcessStat): boolean {
  if (state !== "D") return false;
  for (let looks = 0; looks < STUCK_LOOKS; looks++) {
    Bun.sleepSync(STUCK_PAUSE_MS);
    if (readProcess(pid)?.state !== "D") return false;
  }
  return true;
}

function pids(entries: readonly ProcessStat[]): string {
  return entries.map(({ pid }) => pid).join(" ");
}

function describeUnseen(context: Context, job: Job): Pick<Survivors, "who" | "hint"> {
  const isHere = job.origin?.pidNamespace === context.origin.pidNamespace;
  if (isHere && isHiding()) {
    const group = job.target?.pid ?? 0;
    const files = outputFiles(context.home, job);
    return {
      who: "its command still has a process that /proc hides from you (hidepid)",
      hint: `wait for its end, or end it: ${group > 1 && probeGroup(group) !== "empty" ? `sudo kill -- -${group}` : `sudo fuser -k ${files.join(" ")}`}`,
    };
  }
  return {
    who: `its command still has a process that cannot be seen from here (${isHere ? "another user, or another container" : "another container"})`,
    hint: "wait for its end, or end it where it runs",
  };
}
