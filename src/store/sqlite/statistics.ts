/**
 * Collects metrics of all jobs. It counts the rows each time, in a pass over the table: an index, or counters that are kept up
 * to date, would cost every start.
 */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import { ACTIVE, type JobStatus } from "../../job/status.ts";
import type { JobGroup, RunKeySummary, Statistics, StatisticsRequest } from "../store.ts";
import type { Usage } from "../../job/usage.ts";
import { type JobRow, SMALLEST_MICROSECONDS, toJob } from "./rows.ts";
import { toUsage } from "./usage.ts";

/** When a job ended, in µs, whatever form its worker wrote it in (see toJob in rows.ts). */
const ENDED = `case when boot_id is not null then finished_at else case typeof(finished_at)
  when 'integer' then iif(finished_at < min(${SMALLEST_MICROSECONDS}, started_at), finished_at * 1000000, finished_at)
  when 'text' then cast(round(unixepoch(finished_at, 'subsec') * 1000000) as integer) end end`;

/** Null for a job that has not ended, for a lost one, whose end is not known, and for a retry that was not launched. 0 if the clock was set back meanwhile. */
const DURATION = `case when status not in ('LOST', ${ACTIVE.map((status) => `'${status}'`).join(", ")})
  and not (target_pid is null and coalesce(retry ->> 'at', 0) > 0) then max(0, ${ENDED} - started_at) end`;

const RUN_KEYS = `
  with keys as materialized (
    select run_key, max(seq) as seq, count(*) over () as total from job_records
    group by run_key order by max(seq) desc limit $limit
  )
  select job_records.*, keys.total as total_keys,
    (select status from job_records as result where result.run_key = keys.run_key
      and result.status not in (${ACTIVE.map((status) => `'${status}'`).join(", ")})
      order by attempt_no desc limit 1) as last_result,
    (select json_array(cpu_seconds, max_rss_bytes, io_read_bytes, io_write_bytes) from job_records as result
      where result.run_key = keys.run_key and result.status not in (${ACTIVE.map((status) => `'${status}'`).join(", ")})
      order by attempt_no desc limit 1) as last_usage,
    (select ${ENDED} from job_records as success where success.run_key = keys.run_key and success.status = 'SUCCEEDED'
      order by attempt_no desc limit 1) as last_success
  from keys cross join job_records using (seq) order by keys.seq desc`;

interface RunKeyRow extends JobRow {
  readonly total_keys: number;
  readonly last_result: JobStatus | null;
  readonly last_success: number | null;
  /** JSON array of the four columns. */
  readonly last_usage: string | null;
}

export function readStatistics(database: Database, request: StatisticsRequest): Statistics {
  // One transaction, so that a job that ends meanwhile is counted only once.
  return database.transaction(() => {
    const rows = database.query<RunKeyRow, SQLQueryBindings>(RUN_KEYS).all({ limit: request.limit });
    return {
      ...readGroups(database, request),
      runKeys: rows.map(toSummary),
      omittedRunKeys: (rows[0]?.total_keys ?? 0) - rows.length,
    };
  })();
}

function toSummary(row: RunKeyRow): RunKeySummary {
  return {
    newest: toJob(row),
    lastResult: row.last_result ?? undefined,
    lastUsage: row.last_usage === null ? undefined : toLastUsage(JSON.parse(row.last_usage)),
    lastSuccess: row.last_success ?? undefined,
  };
}

function toLastUsage([cpu_seconds, max_rss_bytes, io_read_bytes, io_write_bytes]: any): Usage | undefined {
  return toUsage({ cpu_seconds, max_rss_bytes, io_read_bytes, io_write_bytes }) ?? undefined;
}

interface GroupRow {
  readonly label_values: string;
  readonly status: JobStatus;
  /** Null: no duration. */
  readonly class: number | null;
  readonly count: number;
  readonly duration: number | null;
}

function readGroups(
  database: Database,
  { durationBounds, labels, limit }: StatisticsRequest,
): Pick<Statistics, "groups" | "mergedLabelValues"> {
  const classes = durationBounds.map((bound, index) => `when duration <= ${bound} then ${index}`).join(" ");
  // A label that somebody has changed by hand into something other than a text counts as none.
  const values = labels.map(
    (_, index) => `iif(json_valid(labels) and json_type(labels, $path${index}) = 'text',
      labels ->> $path${index}, '')`,
  );
  const statement = `
    select label_values, status,
      case when duration is null then null ${classes} else ${durationBounds.length} end as class,
      count(*) as count, sum(duration) as duration
    from (
      select ${labels.length > 0 ? `json_array(${values.join(", ")})` : "'[]'"} as label_values, status,
        ${DURATION} as duration
      from job_records limit -1 -- or SQLite would put the expression in wherever the duration is named: three times slower
    )
    group by ${labels.length > 0 ? "1, " : ""}2, 3`;
  const paths = Object.fromEntries(labels.map((label, index) => [`path${index}`, `$."${label}"`]));
  const groups = new LimitedGroups(limit, durationBounds.length + 1);
  // Row by row: there may be as many groups as jobs.
  for (const row of database.query<GroupRow, SQLQueryBindings>(statement).iterate(paths)) groups.add(row);
  return groups.result();
}

interface Counting {
  status: JobStatus;
  count: number;
  durations: number[];
  totalDuration: number;
}

/** Jobs with the same label values. */
interface Family {
  readonly labelValues: string | undefined;
  readonly groups: Map<JobStatus, Counting>;
}

/** Keeps the combinations of label values that most jobs have, and merges all others. */
class LimitedGroups {
  readonly #limit: number;
  readonly #classes: number;
  readonly #rest: Family = { labelValues: undefined, groups: new Map() };
  #families: Family[] = [];
  #merged = 0;

  constructor(limit: number, classes: number) {
    this.#limit = limit;
    this.#classes = classes;
  }

  /** Call it with rows of the same values one after the other. */
  add(row: GroupRow): void {
    let family = this.#families.at(-1);
    if (family?.labelValues !== row.label_values) {
      // A combination that is not among the most frequent so far will not be among those of all.
      if (this.#families.length >= 2 * this.#limit) this.#prune();
      family = { labelValues: row.label_values, groups: new Map() };
      this.#families.push(family);
    }
    const { status, count } = row;
    const durations = new Array<number>(this.#classes).fill(0);
    if (row.class !== null) durations[row.class] = count;
    merge(family, { status, count, durations, totalDuration: row.duration ?? 0 });
  }

  result(): Pick<Statistics, "groups" | "mergedLabelValues"> {
    this.#prune();
    const groups = [...this.#families, this.#rest].flatMap(({ labelValues, groups }) =>
      [...groups.values()].map((group): JobGroup => ({
        ...group,
        labelValues: labelValues === undefined ? undefined : (JSON.parse(labelValues) as string[]),
      })),
    );
    return { groups, mergedLabelValues: this.#merged };
  }

  #prune(): void {
    const size = ({ groups }: Family) => groups.values().reduce((sum, { count }) => sum + count, 0);
    this.#families.sort((a, b) => size(b) - size(a));
    for (const family of this.#families.splice(this.#limit)) {
      this.#merged += 1;
      for (const group of family.groups.values()) merge(this.#rest, group);
    }
  }
}

function merge(family: Family, group: Counting): void {
  const known = family.groups.get(group.status);
  if (known === undefined) {
    family.groups.set(group.status, group);
    return;
  }
  known.count += group.count;
  known.totalDuration += group.totalDuration;
  group.durations.forEach((count, index) => (known.durations[index]! += count));
}
