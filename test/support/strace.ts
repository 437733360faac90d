/** Injects a fault into one exact system call, through strace: the N-th call of a kind kills its process, or fails. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf } from "./processes.ts";
import { BINARY, type Finished, type Sandbox, until } from "./sandbox.ts";

export interface Fault {
  /** The system call, as strace names it. */
  readonly call: string;
  /** SIGKILL: the process dies before the call does anything. An error: the call does nothing and fails with it. */
  readonly effect: "SIGKILL" | "EIO" | "ENOSPC";
  /** 1 for the first such call. Only the main thread's calls count; it does all the work of orchesjob. */
  readonly when: number;
  /** Only calls that name this path count. */
  readonly path?: string;
}

/** The call that was hit, as strace prints it; undefined if the process made fewer calls. */
export type Hit = string | undefined;

/** Runs orchesjob with a fault in it alone: strace does not follow the processes that it starts. */
export async function strike(
  box: Sandbox,
  fault: Fault,
  args: readonly string[],
  wrapper: readonly string[] = [],
): Promise<{ finished: Finished; hit: Hit }> {
  const trace = join(box.directory, "launcher.trace");
  const finished = await box.execute(["strace", ...tracing(fault, trace), ...wrapper, BINARY, ...args]);
  return { finished, hit: readHit(trace, fault) };
}

export interface StruckWorker {
  readonly launcher: Promise<Finished>;
  /** Resolves when the worker has ended, by the fault or otherwise. */
  readonly hit: Promise<Hit>;
  readonly pid: number;
}

/**
 * Runs `orchesjob start …` with a fault in its worker alone. A first strace stops the new worker before it runs any
 * code of orchesjob, at setsid, which only a new worker calls; a second strace on the worker replaces it.
 */
export async function strikeWorker(
  box: Sandbox,
  fault: Fault,
  args: readonly string[],
  wrapper: readonly string[] = [],
): Promise<StruckWorker> {
  const stopAtBirth = [
    "-D",
    "-f",
    "-o",
    "/dev/null",
    "-e",
    "trace=setsid",
    "-e",
    "inject=setsid:signal=SIGSTOP",
  ];
  const launcher = box.spawn(["strace", "-qq", ...stopAtBirth, ...wrapper, BINARY, ...args]);
  const finished = box.finished(launcher);
  const pid = await until("a newborn worker", () => childrenOf(launcher.pid).find(isStopped));
  await until("the first strace is gone", () => {
    // Again with each look: a strace that is just attaching holds only one of them. 0 would be our own process group.
    const tracers = new Set([tracerOf(pid), tracerOf(launcher.pid)].filter((tracer) => tracer > 0));
    for (const tracer of tracers) killIfAlive(tracer);
    return tracers.size === 0;
  });

  const trace = join(box.directory, "worker.trace");
  const attach = () => box.spawn(["strace", ...tracing(fault, trace), "-p", String(pid)]);
  let tracer = attach();
  await until("the second strace holds the worker", () => {
    // Rarely, on a busy machine, strace is refused; then another one tries.
    if (tracer.exitCode !== null) tracer = attach();
    return tracerOf(pid) === tracer.pid;
  });
  const hit = box.finished(tracer).then(() => readHit(trace, fault));
  process.kill(pid, "SIGCONT");
  return { launcher: finished, hit, pid };
}

function tracing({ call, effect, when, path }: Fault, output: string): string[] {
  const how = effect === "SIGKILL" ? "signal=SIGKILL" : `error=${effect}`;
  const only = path === undefined ? [] : ["-P", path];
  return [
    "-qq",
    "-y",
    "-o",
    output,
    ...only,
    "-e",
    `trace=${call}`,
    "-e",
    `inject=${call}:${how}:when=${when}`,
  ];
}

function readHit(trace: string, { effect }: Fault): Hit {
  const lines = readFileSync(trace, "utf8").split("\n");
  if (effect !== "SIGKILL") return lines.find((line) => line.endsWith("(INJECTED)"));
  return lines[lines.findIndex((line) => line.startsWith("+++ killed by SIGKILL")) - 1];
}

function isStopped(pid: number): boolean {
  return /^[tT]/.test(statusField(pid, "State")) && tracerOf(pid) !== 0 && isSessionLeader(pid);
}

function isSessionLeader(pid: number): boolean {
  return statusField(pid, "NSsid").split("\t").at(-1) === statusField(pid, "NSpid").split("\t").at(-1);
}

function tracerOf(pid: number): number {
  return Number(statusField(pid, "TracerPid") || 0);
}

/** A line of /proc/PID/status; empty if there is no such process. */
function statusField(pid: number | string, name: string): string {
  try {
    return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has gone by itself.
  }
}
