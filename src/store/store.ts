/**
 * The interface of the store of jobs, as verbs. No row, statement or transaction crosses it, and time is a parameter. Each is
 * async, so that a store on a server fits as well. Processes communicate through the store alone.
 */
import type { EndHook } from "../job/hook.ts";
import type {
  CancelRequest,
  HookResult,
  Instant,
  Job,
  LostReason,
  NewJob,
  OrphanEnd,
  Outcome,
  ProcessIdentity,
} from "../job/job.ts";
import type { JobStatus } from "../job/status.ts";
import type { Usage } from "../job/usage.ts";
import type { HasFigures, Portion } from "./figures.ts";
import type { Keys } from "./keys.ts";
import type { Publications } from "./publications.ts";

/** What a job must have. */
export interface JobFilter {
  /** One of these; empty: any. */
  readonly statuses: readonly JobStatus[];
  /** All of these. */
  readonly labels: ReadonlyMap<string, string>;
}

export interface ListFilter extends JobFilter, Portion {
  /** Only the newest job of each run key. */
  readonly newestOnly?: boolean;
  readonly runKeyPrefix: string;
  /** Started at this time or later. */
  readonly since: Instant | undefined;
  /** Started before this time. */
  readonly until: Instant | undefined;
  readonly limit: number;
  /** By acceptance (as usual), or by their end, which leaves out active jobs; the newest first. */
  readonly order?: "accepted" | "ended";
}

/** What clean needs of a finished job: it may read a million of them. */
export interface CleanCandidate extends Pick<Job, "jobId" | "runKey" | "attemptNo" | "status"> {
  /** Order of acceptance. */
  readonly position: number;
  /** Whether it has a hook, and whether that has yet to run. */
  readonly hook: "none" | "due" | "over";
  /** Whether there is a copy of its caller's stdin. */
  readonly hasInput: boolean;
  /** Whether its output was a pipe. */
  readonly hasPipes: boolean;
  /** Whether there may be output of a command of --on-stall. */
  readonly hasStallLog: boolean;
  /** It was ended early, and nobody has proved that none of its processes lives. */
  readonly mayLive: boolean;
  /** Its end; its start if an older version did not record the end. */
  readonly endedAt: Instant;
}

/** What clean says about a job that it deletes. */
export type CleanedJob = Pick<CleanCandidate, "jobId" | "runKey" | "status" | "endedAt">;

/** Which finished jobs are meant. */
export interface FinishedFilter extends JobFilter {
  /** Ended at this time or later. */
  readonly since: Instant | undefined;
  /** Has one of these ids, or is of one of these run keys; undefined: any. */
  readonly oneOf: { readonly jobIds: readonly string[]; readonly runKeys: readonly string[] } | undefined;
}

export interface StatisticsRequest {
  /** Upper bounds of the classes of durations, in µs, ascending; one more class has no bound. */
  readonly durationBounds: readonly number[];
  /** Names of labels; jobs are grouped by their values. */
  readonly labels: readonly string[];
  /** How many combinations of these values, and how many run keys, are reported at most. */
  readonly limit: number;
}

/** Jobs with the same status and the same values of the labels. */
export interface JobGroup {
  readonly status: JobStatus;
  /** In the order of the request; `""` for a job without the label. Undefined: all combinations beyond the limit. */
  readonly labelValues: readonly string[] | undefined;
  readonly count: number;
  /** How many jobs are in each class of durations; jobs that have not ended, or were lost, are in none. */
  readonly durations: readonly number[];
  /** Sum of these durations, in µs. */
  readonly totalDuration: number;
}

export interface RunKeySummary {
  readonly newest: Job;
  /** How the newest finished job ended; undefined if there is none. */
  readonly lastResult: JobStatus | undefined;
  /** What the newest finished job has used; undefined if there is none, or it is not known. */
  readonly lastUsage: Usage | undefined;
  /** When the newest success ended; undefined if there is none. */
  readonly lastSuccess: Instant | undefined;
}

export interface Statistics {
  readonly groups: readonly JobGroup[];
  /** How many combinations of label values were beyond the limit. */
  readonly mergedLabelValues: number;
  /** The run keys that were started last, the newest first. */
  readonly runKeys: readonly RunKeySummary[];
  /** How many run keys were beyond the limit. */
  readonly omittedRunKeys: number;
}

export interface Size {
  readonly bytes: number;
  /** Bytes that were written but are not in their final place yet. */
  readonly pendingBytes: number;
}

export interface JobStore extends Keys, HasFigures {
  /**
   * Puts a job back that its worker has but the store does not know, because somebody restored an older backup. Returns it as
   * the store then has it; undefined if it is active and another job of its key is, too. It keeps its `attemptNo` if that is
   * free (and, for an active job, the highest); otherwise it gets the next one.
   */
  adopt(job: Job): Promise<Job | undefined>;

  find(jobId: string): Promise<Job | undefined>;
  /** All jobs of a run key, newest first. */
  history(runKey: string): Promise<readonly Job[]>;
  /** The job of a run key with this number. */
  numbered(runKey: string, attemptNo: number): Promise<Job | undefined>;
  /** All active jobs, oldest first. */
  active(): Promise<readonly Job[]>;
  /** Jobs of all run keys. `pages`: in order of acceptance, in pages of `size`, so that any number of jobs fits in memory. */
  list(filter: ListFilter): Promise<readonly Job[]>;
  pages(filter: ListFilter, size: number): AsyncIterable<readonly Job[]>;

  /** The newest job of each run key that begins with a prefix, in order of the keys. */
  newestOfKeys(prefix: string, limit: number): Promise<readonly Job[]>;
  /** Jobs whose ids begin with a prefix, the newest ids first. */
  jobsById(prefix: string, limit: number): Promise<readonly Job[]>;

  /** What the registry of a fleet has to hear. */
  publications(): Promise<Publications>;

  /** Metrics of all jobs, as they are at one instant. */
  statistics(request: StatisticsRequest): Promise<Statistics>;
  /** The size of the store on disk. */
  size(): Promise<Size>;

  // Events of the state machine. Each is guarded by the table in job/status.ts. Returns the job after the event, or undefined
  // if the guard refused it: then another process has decided.
  run(
    jobId: string,
    worker: ProcessIdentity,
    place: Pick<Job, "unit"> & Pick<NewJob, "origin">,
    at: Instant,
    /** When a retry begins, unless it is to be cancelled (default: `at`); null: it does not. */
    startedAt?: Instant | null,
  ): Promise<Job | undefined>;
  /** `leftBehind`: the survivors of a job that was ended early. Durable when it returns. */
  finish(
    jobId: string,
    event: "succeed" | "fail" | "cancel",
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
    leftBehind?: readonly ProcessIdentity[] | null,
  ): Promise<Job | undefined>;
  /**
   * Records that an attempt has failed, and accepts the next one, STARTING, in one durable transaction: the key is not free for
   * an instant. Request ids, hook and the mark of a strict key pass on. In a fleet, the registry gives the token later. Undefined
   * if the attempt has ended otherwise, its end is requested, or the directory has joined a fleet since.
   */
  retry(
    jobId: string,
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
    leftBehind: readonly ProcessIdentity[] | null,
    next: NewJob & Partial<Pick<Job, "fencingToken">>,
    acceptedAt: Instant,
  ): Promise<Job | undefined>;
  lose(jobId: string, reason: LostReason, at: Instant): Promise<Job | undefined>;

  /** Requests the end of an active job, or undefined. The first request stands, with the shortest grace period of all. */
  requestCancel(jobId: string, request: CancelRequest): Promise<Job | undefined>;

  /**
   * Records which survivors of a job that was ended early still live, and how its command ended in the end (null: it has not).
   * The latter changes only an exit code that was not known.
   */
  recordLeft(
    jobId: string,
    leftBehind: readonly ProcessIdentity[],
    end: Pick<Outcome, "exitCode" | "signal"> | null,
  ): Promise<void>;

  /** Records how a hook of a finished job ended. The first record stands. */
  recordHook(jobId: string, kind: EndHook, result: HookResult): Promise<void>;

  /** Records since when an active job is stalled; null: it is not any more. */
  recordStall(jobId: string, since: Instant | null, at: Instant): Promise<void>;

  /** Records that a log of an active job has reached its limit (first time), and how many bytes are in no log (last number). */
  recordLogLimit(jobId: string, bytes: number | null, at: Instant): Promise<void>;

  /** Records what became of the processes of a LOST job. The first record stands. */
  recordOrphanEnd(jobId: string, end: OrphanEnd): Promise<void>;

  /** Records which process the command became. False if there is no such active job. */
  recordTarget(jobId: string, target: ProcessIdentity, at: Instant): Promise<boolean>;

  /**
   * Finished jobs that ended before a time, in order of their end; at most `limit`, after the cursor if one is given, and only
   * those that the filter lets through.
   */
  finishedBefore(
    before: Instant,
    limit: number,
    after?: CleanCandidate,
    filter?: FinishedFilter,
  ): Promise<readonly CleanCandidate[]>;
  /** For each run key with at least `keep` (1 or more) finished jobs: the `attemptNo` of the oldest of the `keep` newest. */
  firstKept(runKeys: readonly string[], keep: number): Promise<ReadonlyMap<string, number>>;
  /** Returns the ids that no job has. */
  unknown(jobIds: readonly string[]): Promise<readonly string[]>;
  /** Returns the ids that no job has, or whose job no worker has claimed. */
  unclaimed(jobIds: readonly string[]): Promise<readonly string[]>;
  /** Deletes finished jobs and returns how many. Never deletes active jobs, nor jobs whose hook has yet to run. */
  remove(jobIds: readonly string[]): Promise<number>;

  /** Deletes the retry tokens of deleted jobs. */
  forgetRequests(): Promise<void>;
  /** Deletes the copy of an older version's database that an upgrade keeps. */
  discardOldCopy(): Promise<void>;

  /** Returns the space of deleted jobs to the file system. */
  vacuum(): Promise<void>;
  /** Moves what was written into its final place. For a process that nobody waits for any more. */
  checkpoint(): Promise<void>;
  /**
   * Closes the store's files and frees its memory; the next verb opens them again. For a process that will not need the store
   * for a while: if somebody replaces it meanwhile (by a backup), the next verb finds the new one.
   */
  disconnect(): void;
  close(): void;
}
