/**
 * What others than this version of the program find under the names that a database of orchesjob always had: people, who
 * query `jobs` by hand; the Python orchesjob, which takes what it finds there for its own and rebuilds it; and workers of an
 * older version of ours, or of the Python one in a directory that was upgraded, that still live and have a result to tell.
 *
 * They are views. What creates, alters, drops or fills a table of that name fails in SQLite before anything changes; and an
 * update of `jobs` gets through where it is one that such a worker makes, and nowhere else.
 */
import type { Database } from "bun:sqlite";
import { ACTIVE } from "../../job/status.ts";
import { SMALLEST_MICROSECONDS } from "./rows.ts";

/** Of a job, these never change. */
const FIXED: readonly string[] = ["seq", "job_id", "run_key", "attempt_no", "command", "started_at"];

/** Columns of 1.1 that have another name with us. */
const PYTHON_COLUMNS: Readonly<Record<string, string>> = {
  aborted_at: "case when status = 'CANCELLED' then finished_at_integer end",
  abort_reason: "cancel_reason",
};

const REFUSAL =
  "this directory is used by the newer orchesjob, which alone writes its database; use that program, and remove the call of the older one";

/** A time as any version writes it, as ours. SQLite's clock knows milliseconds only: the six decimals, which Python leaves
 *  out where they are zero, are ours to add. */
const instantOf = (time: string) => `case
    when ${time} is null or typeof(${time}) = 'integer' and ${time} >= ${SMALLEST_MICROSECONDS} then ${time}
    when typeof(${time}) <> 'text' then cast(${time} * 1000000 as integer)
    when substr(${time}, 20, 1) = '.' then unixepoch(substr(${time}, 1, 19) || substr(${time}, 27)) * 1000000
      + cast(substr(${time}, 21, 6) as integer)
    else unixepoch(${time}) * 1000000 end`;

const isOurs = (time: string) => `(typeof(${time}) = 'integer' and ${time} >= ${SMALLEST_MICROSECONDS})`;

/** Makes the views anew, from the columns that the table has now. Runs inside the transaction of a migration. */
export function makePublicViews(database: Database): void {
  const columns = database
    .query<{ name: string; hidden: number }, []>("select name, hidden from pragma_table_xinfo('job_records')")
    .all();
  const shown = columns.map(({ name }) => name).filter((name) => name !== "finished_at_integer");
  // What is not hidden is no generated one.
  const written = columns.filter(({ hidden }) => hidden === 0).map(({ name }) => name);
  const changing = written.filter((name) => !FIXED.includes(name));
  const aliases = Object.entries(PYTHON_COLUMNS).filter(([name]) => !shown.includes(name));
  const selected = [
    ...shown.map((name) => (name === "finished_at" ? "finished_at_integer as finished_at" : name)),
    ...aliases.map(([name, expression]) => `${expression} as ${name}`),
  ];
  const assign = (special: Readonly<Record<string, string>>) =>
    changing.map((name) => `${name} = ${special[name] ?? `new.${name}`}`).join(", ");
  const isActive = `in (${ACTIVE.map((status) => `'${status}'`).join(", ")})`;
  const isHookResult = "old.on_exit_finished_at is null and new.on_exit_finished_at is not null";
  const statements = [
    ...["jobs", "run_keys", "strict_overrides", "schema_meta"].map((name) => `drop view if exists ${name}`),
    // It takes its triggers along.
    `create view jobs as select ${selected.join(", ")} from job_records`,
    // Law 4: what we have decided meanwhile (the job was cancelled, say) stands. LOST is no word of a worker's.
    `create trigger jobs_update_python instead of update on jobs when old.boot_id is null begin
      select raise(ignore) where old.status not ${isActive} and not (${isHookResult});
      select raise(abort, '${REFUSAL}')
        where new.status not in (old.status, 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'ABORTED');
      update job_records set ${assign({
        status: "replace(new.status, 'ABORTED', 'CANCELLED')",
        finished_at: instantOf("new.finished_at"),
        updated_at: instantOf("new.updated_at"),
        cancel_reason: "coalesce(new.abort_reason, new.cancel_reason)",
      })} where seq = old.seq;
    end`,
    // All that a worker of an older version writes has the time of it, in its form, but for the end of a hook.
    `create trigger jobs_update instead of update on jobs when old.boot_id is not null begin
      select raise(abort, '${REFUSAL}') where not (
        old.status ${isActive} and new.status in ('RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED') and ${isOurs("new.updated_at")}
          and (new.finished_at is null or ${isOurs("new.finished_at")})
        or old.status not ${isActive} and new.status = old.status and ${isHookResult});
      update job_records set ${assign({})} where seq = old.seq;
    end`,
    // A start of an older version that was on its way when the database was migrated.
    `create trigger jobs_insert instead of insert on jobs begin
      select raise(abort, '${REFUSAL}') where new.boot_id is null;
      insert into job_records (${written.join(", ")}) values (${written.map((name) => `new.${name}`).join(", ")});
    end`,
    `create trigger jobs_delete instead of delete on jobs begin select raise(abort, '${REFUSAL}'); end`,
    "create view strict_overrides as select * from unlocks",
    `create view run_keys as select run_key, job_id, started_at as created_at from job_records as newest where not exists
      (select 1 from job_records where run_key = newest.run_key and attempt_no > newest.attempt_no)`,
    // Empty: a Python orchesjob that notes its version here is refused.
    "create view schema_meta as select run_key as key, run_key as value from unlocks where false",
  ];
  for (const statement of statements) database.run(statement);
}
