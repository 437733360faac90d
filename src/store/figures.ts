/** How jobs went, from the history that there is: verbs of the store for those who look at many jobs at once. */
import type { Instant, Job } from "../job/job.ts";
import type { Outcomes, Usual } from "../job/usual.ts";

/** A job as a bar on a line of time. */
export interface Run extends Pick<Job, "jobId" | "runKey" | "status" | "startedAt"> {
  /** Null: it is active. Of a LOST job, when the loss was found. */
  readonly endedAt: Instant | null;
}

export interface RunsWanted {
  readonly runKey?: string | undefined;
  /** Jobs that were active at some time from here … */
  readonly from: Instant;
  /** … to here, exclusive. */
  readonly to: Instant;
  readonly limit: number;
}

/** A part of a list of jobs. */
export interface Portion {
  /** Only jobs of this key. */
  readonly runKey?: string;
  /** Only jobs that were accepted before the one at this position: see Figures.positionOf. */
  readonly before?: number;
}

export interface Figures {
  /** What is usual for each of these keys. A key without a finished job is missing. */
  usual(runKeys: readonly string[]): Promise<ReadonlyMap<string, Usual>>;
  /**
   * Counts the jobs that ended in each period. `bounds`: where one period ends and the next begins, ascending; one more than
   * there are periods. `runKey`: of this key only.
   */
  outcomes(bounds: readonly Instant[], runKey?: string): Promise<readonly Outcomes[]>;
  /** Jobs of all keys, or of one, the newest end first; active ones before them. */
  runs(wanted: RunsWanted): Promise<readonly Run[]>;
  /** Where a job is in the order of acceptance; undefined if there is no such job. */
  positionOf(jobId: string): Promise<number | undefined>;
  /** Jobs that were accepted after the one at a position, in order of acceptance, and the position of the last one. */
  acceptedAfter(
    position: number,
    limit: number,
  ): Promise<{ readonly runs: readonly Run[]; readonly position: number }>;
  /** The position of the job that was accepted last; 0 if there is none. */
  lastPosition(): Promise<number>;
  /** A number that changes whenever another process has changed the store. */
  version(): Promise<number>;
  /** The newest job of each run key that sorts after a text, in order of the keys. */
  keysAfter(after: string, limit: number): Promise<readonly Job[]>;
}

export interface HasFigures {
  figures(): Promise<Figures>;
}
