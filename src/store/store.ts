/**
 * The store of jobs, as verbs. No row, statement or transaction crosses this interface, time is a parameter, and every
 * verb is async outside though a store may work synchronously inside; so a store on a server fits behind it as well.
 * Processes talk to each other through the store alone.
 */
import type {
  CancelRequest,
  HookResult,
  Instant,
  Job,
  LostReason,
  NewJob,
  Outcome,
  ProcessIdentity,
} from "../job/job.ts";
import type { JobStatus } from "../job/status.ts";

export interface ClaimTerms {
  /** Id of the key's newest job when the caller looked; undefined: there was none. */
  readonly expected: string | undefined;
  /** Remember that the key is strict. */
  readonly strict: boolean;
  /** Use up what `unlock` has allowed. */
  readonly useOverride: boolean;
}

export interface Strictness {
  /** The job of an earlier strict start, which the history may not have any more. */
  readonly strictJobId: string | undefined;
  /** One more run is allowed. */
  readonly override: boolean;
}

export interface ListFilter {
  /** Empty: all. */
  readonly statuses: readonly JobStatus[];
  readonly runKeyPrefix: string;
  /** Started at this time or later. */
  readonly since: Instant | undefined;
  /** Started before this time. */
  readonly until: Instant | undefined;
  readonly limit: number;
}

/** A finished job, as much of it as clean needs: of a million jobs nothing more is read. */
export interface CleanCandidate extends Pick<Job, "jobId" | "runKey" | "attemptNo" | "status"> {
  /** Order of acceptance. */
  readonly position: number;
  /** Whether it has a hook, and that has yet to run. */
  readonly hook: "none" | "due" | "over";
  /** Whether it has a copy of its caller's stdin. */
  readonly hasInput: boolean;
  /** Whether its output was a pipe. */
  readonly hasPipes: boolean;
  /** It was ended before its time, and nobody has proved that no process of it lives. */
  readonly mayLive: boolean;
  /** Its end; its start where an older version did not record that. */
  readonly endedAt: Instant;
}

export interface StatisticsRequest {
  /** Upper bounds of the durations that are counted together, in µs, ascending; the last class has no bound. */
  readonly durationBounds: readonly number[];
  /** Names of labels, by whose values the jobs are told apart. */
  readonly labels: readonly string[];
  /** At most so many combinations of these values, and so many run keys, are told apart. */
  readonly limit: number;
}

/** Jobs that have the status and the labels' values in common. */
export interface JobGroup {
  readonly status: JobStatus;
  /** In the order in which they were asked for; `""` for a job without the label. Undefined: all that is beyond the limit. */
  readonly labelValues: readonly string[] | undefined;
  readonly count: number;
  /** How many of them took how long, one number for each class; jobs that have not ended, or were lost, are in none. */
  readonly durations: readonly number[];
  /** All these durations together, in µs. */
  readonly totalDuration: number;
}

export interface RunKeySummary {
  readonly newest: Job;
  /** How the newest finished job ended; undefined where there is none. */
  readonly lastResult: JobStatus | undefined;
  /** When the newest success ended; undefined where there is none. */
  readonly lastSuccess: Instant | undefined;
}

export interface Statistics {
  readonly groups: readonly JobGroup[];
  /** How many combinations of labels' values were beyond the limit. */
  readonly mergedLabelValues: number;
  /** The run keys that were started last, the newest first. */
  readonly runKeys: readonly RunKeySummary[];
  /** How many were beyond the limit. */
  readonly omittedRunKeys: number;
}

export interface Size {
  readonly bytes: number;
  /** What was written and is not in its final place yet. */
  readonly pendingBytes: number;
}

export interface JobStore {
  /**
   * Accepts a job: makes it, STARTING. Undefined where the key's newest job is not the expected one, or is active
   * (law 1), or the override that is counted on is gone, or the job's request id stands for a job already: the caller must
   * look again. Durable when it returns (law 3).
   */
  claim(job: NewJob, terms: ClaimTerms, at: Instant): Promise<Job | undefined>;

  /**
   * Puts a job back that the store does not know, though its worker has it: an older state of the store has come back. Returns
   * it as the store has it then; undefined where it is active, and another job of its key is as well (law 1). It keeps its
   * `attemptNo` where that is free, and for an active job the highest; else it gets the next one.
   */
  adopt(job: Job): Promise<Job | undefined>;

  /** The job that a caller's retry token stands for. */
  findRequest(runKey: string, requestId: string): Promise<Job | undefined>;
  /** Lets a retry token stand for a job, unless it stands for one already. Durable when it returns. */
  bindRequest(runKey: string, requestId: string, jobId: string): Promise<void>;

  /** What is known of a run key's strictness, beside its history. */
  strictness(runKey: string, at: Instant): Promise<Strictness>;
  /** Allows one more run of a strict key, until `expiresAt` (null: for ever). */
  unlock(runKey: string, reason: string | null, at: Instant, expiresAt: Instant | null): Promise<void>;

  find(jobId: string): Promise<Job | undefined>;
  /** The newest job of a run key. */
  latest(runKey: string): Promise<Job | undefined>;
  /** All jobs of a run key, newest first. */
  history(runKey: string): Promise<readonly Job[]>;
  /** All active jobs, oldest first. */
  active(): Promise<readonly Job[]>;
  /** Jobs of all run keys, newest first. */
  list(filter: ListFilter): Promise<readonly Job[]>;

  /** Run keys that begin so, in order. */
  runKeys(prefix: string, limit: number): Promise<readonly string[]>;
  /** Jobs whose ids begin so, the newest ids first. */
  jobsById(prefix: string, limit: number): Promise<readonly Job[]>;

  /** Figures about all jobs, as they are at one instant. */
  statistics(request: StatisticsRequest): Promise<Statistics>;
  /** What the store takes on disk. */
  size(): Promise<Size>;

  // Events of the state machine. Each is guarded by the table in job/status.ts and returns the job as it is
  // afterwards, or undefined where the guard refused it: then somebody else has decided.
  run(
    jobId: string,
    worker: ProcessIdentity,
    place: Pick<Job, "unit"> & Pick<NewJob, "origin">,
    at: Instant,
  ): Promise<Job | undefined>;
  /** `leftBehind`: where the job was ended before its time, what lives of it all the same. Durable when it returns. */
  finish(
    jobId: string,
    event: "succeed" | "fail" | "cancel",
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
    leftBehind?: readonly ProcessIdentity[] | null,
  ): Promise<Job | undefined>;
  lose(jobId: string, reason: LostReason, at: Instant): Promise<Job | undefined>;

  /** Asks for the end of an active job. The first who asks is heard, and the shortest grace; undefined where the job is not active. */
  requestCancel(jobId: string, request: CancelRequest): Promise<Job | undefined>;

  /**
   * Notes what has become of the processes that a job which was ended before its time has left behind; and how its command
   * ended at last (null: it has not), which changes nothing but an exit code that was not known.
   */
  recordLeft(
    jobId: string,
    leftBehind: readonly ProcessIdentity[],
    end: Pick<Outcome, "exitCode" | "signal"> | null,
  ): Promise<void>;

  /** Notes how the hook of a finished job ended. The first word stands. */
  recordHook(jobId: string, result: HookResult): Promise<void>;

  /** Notes which process the command became. False where there is no such active job. */
  recordTarget(jobId: string, target: ProcessIdentity, at: Instant): Promise<boolean>;

  /** Finished jobs that ended before a time, in order of their end; at most `limit`, after the cursor if one is given. */
  finishedBefore(before: Instant, limit: number, after?: CleanCandidate): Promise<readonly CleanCandidate[]>;
  /**
   * For each run key that has at least so many finished jobs (1 or more): the `attemptNo` of the oldest among its `keep`
   * newest finished ones.
   */
  firstKept(runKeys: readonly string[], keep: number): Promise<ReadonlyMap<string, number>>;
  /** Those of the ids that no job has. */
  unknown(jobIds: readonly string[]): Promise<readonly string[]>;
  /** Those of the ids that no job has, or one that no worker has claimed. */
  unclaimed(jobIds: readonly string[]): Promise<readonly string[]>;
  /** Deletes finished jobs; returns how many there were. Never deleted: active ones, and such whose hook has yet to run. */
  remove(jobIds: readonly string[]): Promise<number>;

  /** Forgets the retry tokens of jobs that were deleted. */
  forgetRequests(): Promise<void>;
  /** Deletes the copy that an upgrade has kept of an older version's database. */
  discardOldCopy(): Promise<void>;

  /** Gives the space of what was deleted back to the file system. */
  vacuum(): Promise<void>;
  /** Moves what was written into its final place. Called by a process that nobody waits for any more. */
  checkpoint(): Promise<void>;
  /**
   * Lets go of all that is held open, memory too; the next verb takes it up again. For who will ask nothing for a while: what
   * somebody puts in the place of the store meanwhile (a backup) is what the next verb finds.
   */
  disconnect(): void;
  close(): void;
}
