/** The part of the store that says what the registry of a fleet has yet to hear. */
import type { Job } from "../job/job.ts";

/** A job of which the registry of the fleet has yet to hear. */
export interface Publication {
  readonly job: Job;
  /** The count of the job's changes. */
  readonly change: number;
  readonly requestIds: readonly string[];
  /** Whether it made its run key strict. */
  readonly strict: boolean;
  /** The attempt that follows it (`--retries`), and that the registry has yet to accept; null: there is none. */
  readonly successor: Publication | null;
}

/** What the registry has heard. */
export interface Heard extends Pick<Publication, "change"> {
  readonly job: Pick<Job, "jobId">;
  /** The fencing token with which it accepts the successor; null: it does not, or there is none. */
  readonly grantedToken: number | null;
  readonly successor: Publication | null;
}

/** What a member has to publish. The store counts the changes of each job while it tracks them. */
export interface Publications {
  /** Starts to count, unless it does; all jobs that are there are to be published. From then on only a fleet's jobs are accepted. */
  track(memberId?: string): Promise<void>;
  /** The id of the member as which it counts; undefined: it does not count. */
  memberId(): Promise<string | undefined>;
  /** Ends that. */
  ignore(): Promise<void>;
  /** At most `limit`, active jobs first. An attempt that the registry has yet to accept comes as a successor alone. */
  next(limit: number): Promise<readonly Publication[]>;
  /** That of one job; undefined if the registry has it already. */
  pending(jobId: string): Promise<Publication | undefined>;
  count(): Promise<number>;
  /** Whether changes are counted. */
  isTracking(): Promise<boolean>;
  /** The one whose job was started first. */
  oldest(): Promise<Publication | undefined>;
  /** Notes which changes the registry has, and the tokens of accepted successors. */
  markPublished(published: readonly Heard[]): Promise<void>;
  /** All jobs are to be published again. */
  repeatAll(): Promise<void>;
  /**
   * This job is to be published again, as a change after number `known`: the registry may have heard of later changes than we
   * know, if somebody has put an older database back.
   */
  repeat(jobId: string, known?: number): Promise<void>;
  /** The largest fencing token that was given out; 0: none. */
  lastToken(): Promise<number>;
}
