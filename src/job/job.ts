/** The data of a job: one execution under a run key. status.ts says how its status may change. */
import type { Limits } from "./limits.ts";
import type { OutputMode } from "./output.ts";
import type { Elsewhere, OnPartition } from "./fleet.ts";
import type { ScopeMode } from "./scope.ts";
import type { JobStatus } from "./status.ts";
import type { Usage } from "./usage.ts";

/** Microseconds since 1970-01-01T00:00Z. */
export type Instant = number;

export const LOST_REASONS = [
  "reboot",
  "worker_killed",
  "start_interrupted",
  "host_unreachable",
  "unknown",
] as const;
export type LostReason = (typeof LOST_REASONS)[number];

/** Where a pid is valid: a pid means nothing outside its boot and its PID namespace. */
export interface Origin {
  readonly host: string;
  /** /proc/sys/kernel/random/boot_id; empty if it could not be read. */
  readonly bootId: string;
  /** Inode of the PID namespace, as in /proc/self/ns/pid; empty if the system has none. */
  readonly pidNamespace: string;
}

/** Whether two origins are certainly of different boots. An unknown boot id proves nothing. */
export function areDifferentBoots(a: Origin, b: Origin): boolean {
  return a.bootId !== "" && b.bootId !== "" && a.bootId !== b.bootId;
}

/** Identifies a process even if its pid is reused. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time: field 22 of /proc/PID/stat, in clock ticks since boot. 0 if it could not be read. */
  readonly startTicks: number;
  /** Inode of its pidfd: unique within the boot, and known even if /proc hides the process. Absent: not read; 0: not supported. */
  readonly inode?: number;
}

/** Whether both are the same process: same pid, same start time. False if either is missing. */
export function isSameProcess(
  a: ProcessIdentity | null | undefined,
  b: ProcessIdentity | null | undefined,
): boolean {
  return a != null && b != null && a.pid === b.pid && a.startTicks === b.startTicks;
}

/** The kinds of a failure that is not the command's own exit code. The list grows. */
export const FAILURES = [
  "timed_out",
  "stalled",
  "log_limit",
  "partitioned",
  "out_of_memory",
  "not_found",
  "not_executable",
  "not_launched",
] as const;
export type Failure = (typeof FAILURES)[number];

/** How a target ended. */
export interface Outcome {
  /** The exit code; -N if signal N ended it; -1 if it could not be launched; null if unknown, or if it was not to be launched. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Why it could not be launched, or was ended; for people. */
  readonly error: string | null;
  readonly failure: Failure | null;
  /** What it has used; null if it was not launched, or nobody was there to count. */
  readonly usage: Usage | null;
}

/** When a hook runs: whenever the job has ended, only if it has not SUCCEEDED, or while it runs, when it stalls. */
export type HookKind = "exit" | "failure" | "stall";

/** What became of the processes that a lost job had left. */
export interface OrphanEnd {
  /** When the last of them ended. */
  readonly at: Instant;
  /** As a job's; null if the kernel does not tell. */
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** A shell command to run after the job's end is recorded. */
export interface HookOrder {
  readonly command: string;
  /** How long it may run, in ms. */
  readonly timeoutMs: number;
}

export interface HookResult {
  /** As a job's: -N if signal N ended it, -1 if it could not be launched; null if it could not even be killed. */
  readonly exitCode: number | null;
  /** What went wrong, for people; null if nothing did. */
  readonly error: string | null;
  readonly finishedAt: Instant;
}

export interface Hook extends HookOrder {
  /** Null until a run of the hook is recorded. */
  readonly result: HookResult | null;
}

/** `--retries`: how often a failed command is tried again, and when. retry.ts has the rules. */
export interface RetryOrder {
  /** How many attempts may follow the first. */
  readonly retries: number;
  /** Pause before the first of them, in ms. */
  readonly delayMs: number;
  /** Each further pause is so many times the one before. */
  readonly backoff: number;
  /** No pause is longer, in ms; null: the default. */
  readonly maxDelayMs: number | null;
  /** Exit codes as `run` passes them on, and `timeout`; null: every failure but a command that cannot be executed. */
  readonly on: readonly string[] | null;
}

export interface Retry extends RetryOrder {
  /** How many attempts of the same run came before this one. */
  readonly number: number;
  /** The attempt that this one repeats; null for the first. */
  readonly ofJobId: string | null;
  /** When the attempt may launch its command; null for the first. */
  readonly at: Instant | null;
  /** The attempt that follows this one, which has failed; null: none does. */
  readonly nextJobId: string | null;
}

export interface CancelRequest {
  readonly at: Instant;
  readonly reason: string | null;
  /** Time between TERM and KILL, in ms. */
  readonly graceMs: number;
  /** Pid of the requester, so that the worker does not take it for a process of the job; 0 from another PID namespace. */
  readonly pid: number;
}

export interface Job {
  readonly jobId: string;
  readonly runKey: string;
  /** 1, 2, … within the run key. */
  readonly attemptNo: number;
  readonly status: JobStatus;
  readonly command: readonly string[];
  /** Working directory of the command, for people and for a rerun. */
  readonly cwd: string;
  readonly startedAt: Instant;
  /** For LOST: when the loss was detected. Null while active, and if an older version did not record it. */
  readonly finishedAt: Instant | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  readonly failure: Failure | null;
  /** Null while active, and if nobody has counted. */
  readonly usage: Usage | null;
  readonly lostReason: LostReason | null;
  /** NAME=VALUE of `--env`, in addition to the caller's environment. */
  readonly env: readonly string[];
  /** A map, not an object, so that `__proto__` is a name like any other. */
  readonly labels: ReadonlyMap<string, string>;
  readonly timeoutMs: number | null;
  readonly requestId: string | null;
  readonly cancelRequest: CancelRequest | null;
  readonly cancelReason: string | null;
  readonly rerunOfJobId: string | null;
  readonly rerunReason: string | null;
  readonly scope: ScopeMode;
  /** NAME=VALUE of systemd.resource-control(5) and the like, for the scope. */
  readonly properties: readonly string[];
  /** The job's own scope, in which its worker found itself; null: the worker stayed where its launcher was. */
  readonly unit: string | null;
  readonly onExit: Hook | null;
  readonly onFailure: Hook | null;
  readonly limits: Limits;
  /** When its last output came, if it is stalled, or ended while it was. */
  readonly stalledSince: Instant | null;
  /** When a log reached its --max-log-bytes and the first byte was dropped, as far as the worker saw it. */
  readonly logLimitAt: Instant | null;
  /** Bytes of both streams that are in no log, when the command had ended; null: none, or nobody has counted. */
  readonly logDroppedBytes: number | null;
  readonly output: OutputMode;
  /** Absolute path of the file that is the command's stdin, or OWN_STDIN; null: it has none. */
  readonly stdin: string | null;
  /** Null for a job that the Python orchesjob wrote. */
  readonly origin: Origin | null;
  readonly worker: ProcessIdentity | null;
  readonly target: ProcessIdentity | null;
  /** A secret that only processes of the job have in their environment; null for a job that an older version accepted. */
  readonly token: string | null;
  /** The processes that were left when the job was ended early. Empty: proof that none lives. Null: not recorded. */
  readonly leftBehind: readonly ProcessIdentity[] | null;
  /** Null if the job is not LOST, or has processes left, or nobody saw their end. */
  readonly orphanEnd: OrphanEnd | null;
  /** Grows with each accepted job of the state directory, or of the fleet; null for a job that an older version accepted. */
  readonly fencingToken: number | null;
  /** Null for a job that was accepted outside of a fleet; before, for what its member does by default. */
  readonly onPartition: OnPartition | null;
  /** Null if no retries were asked for. */
  readonly retry: Retry | null;
  /** Set for a job of another member of the fleet, as the registry has it; never stored. */
  readonly elsewhere?: Elsewhere;
}

/** The fields that a job gets only after it is accepted. */
const UNDECIDED = {
  finishedAt: null,
  exitCode: null,
  signal: null,
  error: null,
  failure: null,
  usage: null,
  lostReason: null,
  cancelRequest: null,
  cancelReason: null,
  unit: null,
  target: null,
  leftBehind: null,
  stalledSince: null,
  logLimitAt: null,
  logDroppedBytes: null,
  orphanEnd: null,
  fencingToken: null,
} as const satisfies Partial<Job>;

/** A job to be accepted, before its first transition. */
export type NewJob = Omit<
  Job,
  keyof typeof UNDECIDED | "status" | "startedAt" | "onExit" | "onFailure" | "elsewhere"
> & {
  readonly onExit: HookOrder | null;
  readonly onFailure: HookOrder | null;
  readonly origin: Origin;
  readonly worker: ProcessIdentity;
  readonly token: string;
};

/** The job that results from accepting a NewJob. */
export function acceptedJob(job: NewJob, at: Instant, fencingToken: number | null = null): Job {
  const onExit = job.onExit && { ...job.onExit, result: null };
  const onFailure = job.onFailure && { ...job.onFailure, result: null };
  return { ...UNDECIDED, ...job, onExit, onFailure, status: "STARTING", startedAt: at, fencingToken };
}
