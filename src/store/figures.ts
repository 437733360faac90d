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
  /** The newest job of each run key that sorts after a text, in order of the keys. */
  keysAfter(after: string, limit: number): Promise<readonly Job[]>;
}

export interface HasFigures {
  figures(): Promise<Figures>;
}
