/** What a job is: one execution under a run key. Pure data; who may change it says status.ts. */
import type { OutputMode } from "./output.ts";
import type { ScopeMode } from "./scope.ts";
import type { JobStatus } from "./status.ts";

/** Microseconds since 1970-01-01T00:00Z. */
export type Instant = number;

export const LOST_REASONS = ["reboot", "worker_killed", "start_interrupted", "unknown"] as const;
export type LostReason = (typeof LOST_REASONS)[number];

/** The kernel that a process number belongs to: a number means nothing outside its boot and its PID namespace. */
export interface Origin {
  readonly host: string;
  /** /proc/sys/kernel/random/boot_id; empty where it could not be read. */
  readonly bootId: string;
  /** Inode of the PID namespace, as /proc/self/ns/pid names it; empty where the system has none. */
  readonly pidNamespace: string;
}

/** Whether two origins are of different boots for certain: one that could not read its own proves nothing. */
export function areDifferentBoots(a: Origin, b: Origin): boolean {
  return a.bootId !== "" && b.bootId !== "" && a.bootId !== b.bootId;
}

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. 0 where it could not be read. */
  readonly startTicks: number;
  /** Of its pidfd, which names it for the whole boot, also where /proc hides it. Absent where nobody asked; 0 where the kernel has none. */
  readonly inode?: number;
}

/** Whether both are one process: the number is the same, and was given out at the same time. */
export function isSameProcess(
  a: ProcessIdentity | null | undefined,
  b: ProcessIdentity | null | undefined,
): boolean {
  return a != null && b != null && a.pid === b.pid && a.startTicks === b.startTicks;
}

/** What kind of failure an `error` tells of, where it is not the command's own. */
export type Failure = "timed_out" | "out_of_memory" | "not_found" | "not_executable" | "not_launched";

/** How a target ended. */
export interface Outcome {
  /** The exit code; -N where signal N ended it; -1 where it could not be launched; null where it never was to be. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Why it could not be launched or was ended, for a person. */
  readonly error: string | null;
  readonly failure: Failure | null;
}

/** A shell command that runs once the job's end is recorded. */
export interface HookOrder {
  readonly command: string;
  /** How long it may run. */
  readonly timeoutMs: number;
}

export interface HookResult {
  /** As a job's: -N where signal N ended it, -1 where it could not be launched; null where it could not even be killed. */
  readonly exitCode: number | null;
  /** What went wrong, for a person; null where nothing did. */
  readonly error: string | null;
  readonly finishedAt: Instant;
}

export interface Hook extends HookOrder {
  /** Null until it has run, and that is recorded. */
  readonly result: HookResult | null;
}

export interface CancelRequest {
  readonly at: Instant;
  readonly reason: string | null;
  /** Time between TERM and KILL. */
  readonly graceMs: number;
  /** The process that asks, which is not the job's because it may name it. */
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
  /** For LOST: when the loss was found. Null while active, and where an older version did not record it. */
  readonly finishedAt: Instant | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  readonly failure: Failure | null;
  readonly lostReason: LostReason | null;
  /** NAME=VALUE that were asked for beside the caller's environment. */
  readonly env: readonly string[];
  /** A map, and no object: a name like `__proto__` is one like any other. */
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
  /** The scope of its own that its worker found itself in; null: it stayed where its launcher was. */
  readonly unit: string | null;
  readonly onExit: Hook | null;
  readonly output: OutputMode;
  /** Absolute path of the file that is the command's stdin, or OWN_STDIN; null: it has none. */
  readonly stdin: string | null;
  /** Null for a job that the Python orchesjob wrote. */
  readonly origin: Origin | null;
  readonly worker: ProcessIdentity | null;
  readonly target: ProcessIdentity | null;
  /** What only the processes of the job have in their environment; null for a job that an older version accepted. */
  readonly token: string | null;
  /** The processes that were left when the job was ended before its time; empty: proof that none lives. Null: nobody has said. */
  readonly leftBehind: readonly ProcessIdentity[] | null;
}

/** What a job does not have yet when it is accepted. */
const UNDECIDED = {
  finishedAt: null,
  exitCode: null,
  signal: null,
  error: null,
  failure: null,
  lostReason: null,
  cancelRequest: null,
  cancelReason: null,
  unit: null,
  target: null,
  leftBehind: null,
} as const satisfies Partial<Job>;

/** What `start` asks to be made: a job before its first transition. */
export type NewJob = Omit<Job, keyof typeof UNDECIDED | "status" | "startedAt" | "onExit"> & {
  readonly onExit: HookOrder | null;
  readonly origin: Origin;
  readonly worker: ProcessIdentity;
  readonly token: string;
};

/** The job that is made of it. */
export function acceptedJob(job: NewJob, at: Instant): Job {
  const onExit = job.onExit && { ...job.onExit, result: null };
  return { ...UNDECIDED, ...job, onExit, status: "STARTING", startedAt: at };
}
