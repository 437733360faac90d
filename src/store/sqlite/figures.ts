/**
 * Figures on jobs. They open in less than a second with a million jobs (docs/performance.md has the measurements), because:
 *
 * - `usual` and `runs` of a key walk back in the unique index `jobs_attempts (run_key, attempt_no)` and read one row for each
 *   of the newest jobs. A key has one active job at a time, so its jobs ended in the order of their numbers.
 * - `outcomes` of all keys, and `runs` of all keys, read the rows of a range of the index `jobs_finished (end, seq)`. An index that
 *   has the other columns as well would halve that, but every process that opens the database would have to read its text, and a
 *   migration of a million jobs makes all callers wait for seconds.
 * - `keysAfter` jumps from key to key in `jobs_attempts`, so its cost is that of the keys, not of the jobs.
 */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import type { Instant, Job } from "../../job/job.ts";
import type { JobStatus } from "../../job/status.ts";
import { type Outcomes, RECENT_RUNS, toUsual, type Usual } from "../../job/usual.ts";
import type { Figures, Run, RunsWanted } from "../figures.ts";
import { ENDED_AT, IS_ACTIVE, IS_FINISHED } from "./queries.ts";
import { type JobRow, SMALLEST_MICROSECONDS, toJobs } from "./rows.ts";

/** Whether a row says in microseconds when the job ended: the Python orchesjob may have written another form. */
const HAS_END = `typeof(finished_at) = 'integer' and finished_at >= ${SMALLEST_MICROSECONDS}`;

export const FIGURES = {
  usual: `select value as run_key,
      (select json_array(count(*), json_group_array(max(0, finished_at - started_at)) filter (where status = 'SUCCEEDED' and ${HAS_END}))
        from (select status, started_at, finished_at from job_records where run_key = value and ${IS_FINISHED}
          order by attempt_no desc limit $limit)) as found
    from json_each($runKeys)`,
  outcomes: `select status, count(*) as count from job_records
    where ${IS_FINISHED} and ${ENDED_AT} >= $from and ${ENDED_AT} < $to group by status`,
  runs: `select job_id, run_key, status, started_at, ${ENDED_AT} as ended_at from job_records
    where ${IS_FINISHED} and ${ENDED_AT} >= $from and started_at < $to order by ${ENDED_AT} desc, seq desc limit $limit`,
  activeRuns: `select job_id, run_key, status, started_at, null as ended_at from job_records
    where ${IS_ACTIVE} and started_at < $to order by run_key limit $limit`,
  runsOfKey: `select job_id, run_key, status, started_at, iif(${IS_ACTIVE}, null, ${ENDED_AT}) as ended_at from job_records
    where run_key = +$runKey order by attempt_no desc`,
  positionOf: "select seq from job_records where job_id = $jobId",
  acceptedAfter: `select seq, job_id, run_key, status, started_at, iif(${IS_ACTIVE}, null, ${ENDED_AT}) as ended_at from job_records
    where seq > $position order by seq limit $limit`,
  lastPosition: "select coalesce(max(seq), 0) as seq from job_records",
  keysAfter: `with recursive keys (run_key) as (
      select min(run_key) from job_records where run_key > $after
      union all
      select (select min(run_key) from job_records where run_key > keys.run_key) from keys where run_key is not null
    ), wanted (run_key) as (select run_key from keys where run_key is not null limit $limit)
    select jobs.* from wanted cross join job_records as jobs on jobs.run_key = wanted.run_key
      and attempt_no = (select max(attempt_no) from job_records as others where others.run_key = wanted.run_key)`,
} as const;

interface RunRow {
  readonly job_id: string;
  readonly run_key: string;
  readonly status: JobStatus;
  readonly started_at: number;
  readonly ended_at: number | null;
}

export class SqliteFigures implements Figures {
  constructor(
    /** Runs the work with the connection that is right at that moment. */
    readonly read: <T>(work: (database: Database) => T) => T,
  ) {}

  async usual(runKeys: readonly string[]): Promise<ReadonlyMap<string, Usual>> {
    const rows = this.#all<{ run_key: string; found: string }>(FIGURES.usual, {
      runKeys: JSON.stringify(runKeys),
      limit: RECENT_RUNS,
    });
    const found = new Map<string, Usual>();
    for (const row of rows) {
      const [runs, durations] = JSON.parse(row.found) as [number, number[]];
      if (runs > 0) found.set(row.run_key, toUsual(runs, durations));
    }
    return found;
  }

  async outcomes(bounds: readonly Instant[], runKey?: string): Promise<readonly Outcomes[]> {
    if (runKey !== undefined) return this.#outcomesOfKey(bounds, runKey);
    // One transaction, so that no job is missing because it ended meanwhile.
    return this.read((database) =>
      database.transaction(() =>
        bounds.slice(1).map((to, index): Outcomes => {
          const period = { from: bounds[index]!, to };
          const rows = database
            .query<{ status: JobStatus; count: number }, SQLQueryBindings>(FIGURES.outcomes)
            .all(period);
          return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
        }),
      )(),
    );
  }

  #outcomesOfKey(bounds: readonly Instant[], runKey: string): readonly Outcomes[] {
    const periods: Partial<Record<JobStatus, number>>[] = bounds.slice(1).map(() => ({}));
    let period = periods.length - 1;
    this.#walkBack(runKey, ({ status, ended_at: end }) => {
      if (end === null || end >= bounds.at(-1)!) return true;
      while (period >= 0 && end < bounds[period]!) period -= 1;
      const counts = periods[period];
      if (counts === undefined) return false;
      counts[status] = (counts[status] ?? 0) + 1;
      return true;
    });
    return periods;
  }

  async runs({ runKey, from, to, limit }: RunsWanted): Promise<readonly Run[]> {
    if (runKey === undefined) {
      const active = this.#all<RunRow>(FIGURES.activeRuns, { to, limit });
      const rest = limit - active.length;
      return [...active, ...this.#all<RunRow>(FIGURES.runs, { from, to, limit: rest })].map(toRun);
    }
    const runs: Run[] = [];
    this.#walkBack(runKey, (row) => {
      if (row.ended_at !== null && row.ended_at < from) return false;
      if (row.started_at < to) runs.push(toRun(row));
      return runs.length < limit;
    });
    return runs;
  }

  async positionOf(jobId: string): Promise<number | undefined> {
    return this.#all<{ seq: number }>(FIGURES.positionOf, { jobId })[0]?.seq;
  }

  async acceptedAfter(
    position: number,
    limit: number,
  ): Promise<{ readonly runs: readonly Run[]; readonly position: number }> {
    const rows = this.#all<RunRow & { seq: number }>(FIGURES.acceptedAfter, { position, limit });
    return { runs: rows.map(toRun), position: rows.at(-1)?.seq ?? position };
  }

  async lastPosition(): Promise<number> {
    return this.#all<{ seq: number }>(FIGURES.lastPosition, {})[0]!.seq;
  }

  async version(): Promise<number> {
    return this.#all<{ data_version: number }>("pragma data_version", {})[0]!.data_version;
  }

  async keysAfter(after: string, limit: number): Promise<readonly Job[]> {
    return toJobs(this.#all<JobRow>(FIGURES.keysAfter, { after, limit }));
  }

  /** Shows the jobs of a key to `use`, the newest first, as long as it returns true. */
  #walkBack(runKey: string, use: (row: RunRow) => boolean): void {
    this.read((database) => {
      for (const row of database.query<RunRow, SQLQueryBindings>(FIGURES.runsOfKey).iterate({ runKey }))
        if (!use(row)) return;
    });
  }

  #all<Row>(statement: string, bindings: Record<string, string | number>): Row[] {
    return this.read((database) => database.query<Row, SQLQueryBindings>(statement).all(bindings));
  }
}

function toRun(row: RunRow): Run {
  const { job_id: jobId, run_key: runKey, status, started_at: startedAt, ended_at: endedAt } = row;
  return { jobId, runKey, status, startedAt, endedAt };
}
