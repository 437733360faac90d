/**
 * The views under the names that databases of orchesjob always had, for others than this version of the program: people who
 * query `jobs` by hand; the Python orchesjob, which rebuilds a table of that name as its own; and processes of our older
 * versions, and Python workers of an upgraded directory, that still live and have a result to record.
 *
 * A statement that creates, alters, drops, fills or changes a table of that name fails in SQLite before anything changes.
 * Triggers accept what such workers write, and nothing else. Each process that opens the database must read them, so they
 * exist only as long as somebody may need them.
 */
import type { Database } from "bun:sqlite";
import { ACTIVE } from "../../job/status.ts";
import { SMALLEST_MICROSECONDS } from "./rows.ts";

/** Creates the views anew, from the columns that the table has now. Call it inside the transaction of a migration. */
export function makePublicViews(database: Database): void {
  const selected = columnsOf(database).map(({ name }) =>
    // It has the type that the Python orchesjob looks for.
    name === "finished_at" ? "finished_at_integer as finished_at" : name,
  );
  const views = {
    // Version 1.1 has other names for these.
    jobs: `select ${selected.filter((name) => name !== "finished_at_integer").join(", ")},
      iif(status = 'CANCELLED', finished_at_integer, null) as aborted_at, cancel_reason as abort_reason from job_records`,
    run_keys: "select run_key, job_id, max(started_at) as created_at from job_records group by run_key",
    strict_overrides: "select * from unlocks",
    // Empty, so that a Python orchesjob that wants to record its version here fails.
    schema_meta: "select 1 as key, 1 as value where false",
  };
  for (const [name, select] of Object.entries(views)) {
    // Dropping a view drops its triggers, too.
    database.run(`drop view if exists ${name}`);
    database.run(`create view ${name} as ${select}`);
  }
}

/** The triggers, named after the programs that need them. */
const TRIGGERS = ["jobs_older_update", "jobs_older_insert", "jobs_python_update"];

/** Whether a job is active, or a hook has yet to run: an older process may still record how it ended. */
function isAnythingDue(database: Database): boolean {
  const statement = `select 1 from job_records where status ${isActive()} or on_exit is not null and on_exit_finished_at is null limit 1`;
  return database.query(statement).get() !== null;
}

/**
 * Lets processes of our older versions go on: a start that is on its way, and workers. Checks that the times they write are
 * microseconds, except for the end of a hook. They never write LOST.
 */
export function acceptOlder(database: Database): void {
  const columns = columnsOf(database)
    // Hidden columns are computed.
    .filter(({ hidden }) => hidden === 0)
    .map(({ name }) => name);
  database.run(`create trigger jobs_older_insert instead of insert on jobs when new.boot_id is not null begin
    insert into job_records (${columns.join(", ")}) values (${columns.map((name) => `new.${name}`).join(", ")});
  end`);
  if (!isAnythingDue(database)) return;
  const hasTime = (time: string) =>
    `typeof(new.${time}) = 'integer' and new.${time} >= ${SMALLEST_MICROSECONDS}`;
  database.run(`create trigger jobs_older_update instead of update on jobs begin
    select raise(abort, 'the rows of jobs are written by orchesjob alone') where not (
      old.status ${isActive()} and new.status in ('RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')
        and ${hasTime("updated_at")} and (new.finished_at is null or ${hasTime("finished_at")})
      or old.status not ${isActive()} and new.status = old.status
        and old.on_exit_finished_at is null and new.on_exit_finished_at is not null);
    update job_records set ${assign(columns)} where seq = old.seq;
  end`);
}

/**
 * Lets a Python worker that still runs record its result, and converts its times (ISO text, or seconds) into ours. A final
 * status that we have recorded meanwhile (the job was cancelled, for example) stands.
 */
export function acceptPythonResults(database: Database): void {
  if (!isAnythingDue(database)) return;
  // SQLite's date functions know only milliseconds, so we add the six decimals, which Python leaves out if they are zero.
  const instantOf = (time: string) => `case
    when ${time} is null or typeof(${time}) = 'integer' and ${time} >= ${SMALLEST_MICROSECONDS} then ${time}
    when typeof(${time}) <> 'text' then cast(${time} * 1000000 as integer)
    when substr(${time}, 20, 1) = '.' then unixepoch(substr(${time}, 1, 19) || substr(${time}, 27)) * 1000000
      + cast(substr(${time}, 21, 6) as integer)
    else unixepoch(${time}) * 1000000 end`;
  const columns = ["status", "worker_pid", "target_pid", "exit_code", "finished_at", "updated_at"];
  database.run(`create trigger jobs_python_update instead of update on jobs when old.boot_id is null begin
    select raise(ignore) where old.status not ${isActive()};
    select raise(abort, 'LOST is said by the newer orchesjob alone') where new.status = 'LOST';
    update job_records set ${assign(columns, {
      status: "replace(new.status, 'ABORTED', 'CANCELLED')",
      finished_at: instantOf("new.finished_at"),
      updated_at: instantOf("new.updated_at"),
    })}, cancel_reason = new.abort_reason where seq = old.seq;
  end`);
}

/** Drops the triggers that nobody needs any more. */
export function dropObsoleteTriggers(database: Database): void {
  const names = TRIGGERS.map((name) => `'${name}'`).join(", ");
  const found = database
    .query<{ name: string }, []>(
      `select name from sqlite_schema where type = 'trigger' and name in (${names})`,
    )
    .all();
  if (found.length === 0 || isAnythingDue(database)) return;
  for (const { name } of found) database.run(`drop trigger if exists ${name}`);
}

function isActive(): string {
  return `in (${ACTIVE.map((status) => `'${status}'`).join(", ")})`;
}

/** Columns of a job that never change. */
const FIXED: readonly string[] = ["seq", "job_id", "run_key", "attempt_no", "command", "started_at"];

function assign(columns: readonly string[], special: Readonly<Record<string, string>> = {}): string {
  return columns
    .filter((name) => !FIXED.includes(name))
    .map((name) => `${name} = ${special[name] ?? `new.${name}`}`)
    .join(", ");
}

function columnsOf(database: Database): readonly { readonly name: string; readonly hidden: number }[] {
  return database
    .query<{ name: string; hidden: number }, []>("select name, hidden from pragma_table_xinfo('job_records')")
    .all();
}
