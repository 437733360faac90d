/** What local code may ask the fleet of its state directory. Every verb throws OrchesjobError `locked` if it cannot be asked. */
import type { CancelRequest, Job } from "../job/job.ts";
import type { Keys } from "./keys.ts";
import type { JobStore, ListFilter } from "./store.ts";

/** The end of each stream of a finished job, and its whole length in bytes. */
export interface PublishedOutput {
  /** In base64. */
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

export interface Fleet {
  /** The verbs that decide who may run a key. */
  keys(local: JobStore): Keys;

  /** Starts the agent if the registry has yet to hear of something: it may have been killed. */
  catchUp(local: JobStore): Promise<void>;

  // Jobs of all members. Those of our own are as the registry has them, too.
  /** Jobs whose ids begin like this, at most `limit`. */
  find(beginning: string, limit: number): Promise<readonly Job[]>;
  newest(runKey: string): Promise<Job | undefined>;
  /** Newest first. */
  history(runKey: string): Promise<readonly Job[]>;
  /** Newest first. */
  list(filter: ListFilter): Promise<readonly Job[]>;
  output(jobId: string): Promise<PublishedOutput | undefined>;
  /** Whether a job is of our own state directory. */
  isOwn(job: Job): boolean;

  /** Asks the member of a job to cancel it; undefined if there is no such job. */
  requestCancel(jobId: string, request: CancelRequest): Promise<Job | undefined>;
  /** Waits until there may be news of a job, at most `ms`. */
  awaitNews(jobId: string, ms: number): Promise<void>;
}
