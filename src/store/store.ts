/**
 * The store of jobs, as verbs. No row, statement or transaction crosses this interface, time is a parameter, and every
 * verb is async outside though a store may work synchronously inside; so a store on a server fits behind it as well.
 * Processes talk to each other through the store alone.
 */
import type { Instant, Job, LostReason, NewJob, Outcome, ProcessIdentity } from "../job/job.ts";

export interface CleanCandidate {
  /** Order of acceptance; the cursor of `finishedBefore`. */
  readonly position: number;
  readonly job: Job;
}

export interface JobStore {
  /**
   * Accepts a job: makes it, STARTING. Undefined where the key's newest job is not `expected` (an id; undefined: none) or
   * is active (law 1): the caller must look again. Durable when it returns (law 3).
   */
  claim(job: NewJob, expected: string | undefined, at: Instant): Promise<Job | undefined>;

  find(jobId: string): Promise<Job | undefined>;
  /** The newest job of a run key. */
  latest(runKey: string): Promise<Job | undefined>;
  /** All jobs of a run key, newest first. */
  history(runKey: string): Promise<readonly Job[]>;
  /** All active jobs, oldest first. */
  active(): Promise<readonly Job[]>;

  // Events of the state machine. Each is guarded by the table in job/status.ts and returns the job as it is
  // afterwards, or undefined where the guard refused it: then somebody else has decided.
  run(
    jobId: string,
    worker: ProcessIdentity,
    origin: NewJob["origin"],
    at: Instant,
  ): Promise<Job | undefined>;
  /** Durable when it returns. */
  finish(
    jobId: string,
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
  ): Promise<Job | undefined>;
  lose(jobId: string, reason: LostReason, at: Instant): Promise<Job | undefined>;

  /** Notes which process the command became. */
  recordTarget(jobId: string, target: ProcessIdentity, at: Instant): Promise<void>;

  /** Finished jobs that ended before a time, in order of their end; at most `limit`, after the cursor if one is given. */
  finishedBefore(before: Instant, limit: number, after?: CleanCandidate): Promise<readonly CleanCandidate[]>;
  /** Number of finished jobs that ended before a time. */
  countFinishedBefore(before: Instant): Promise<number>;
  /** Deletes finished jobs; returns how many there were. Active ones are never deleted. */
  remove(jobIds: readonly string[]): Promise<number>;

  /** Deletes the copy that an upgrade has kept of an older version's database. */
  discardOldCopy(): Promise<void>;

  /** Moves what was written into its final place. Called by a process that nobody waits for any more. */
  tidy(): Promise<void>;
  close(): void;
}
