/** The schema of the database: its migrations, and how to recognize whose it is. */
import { Database } from "bun:sqlite";
import { OrchesjobError } from "../../job/errors.ts";
import jobs from "./migrations/0001-jobs.sql" with { type: "text" };
import units from "./migrations/0002-units.sql" with { type: "text" };
import hooks from "./migrations/0003-hooks.sql" with { type: "text" };
import witness from "./migrations/0004-witness.sql" with { type: "text" };
import output from "./migrations/0005-output.sql" with { type: "text" };
import fleet from "./migrations/0007-fleet.sql" with { type: "text" };
import usage from "./migrations/0008-usage.sql" with { type: "text" };
import orphans from "./migrations/0012-orphans.sql" with { type: "text" };
import requests from "./migrations/0013-requests.sql" with { type: "text" };
import records from "./migrations/0006-records.sql" with { type: "text" };
import failureHooks from "./migrations/0009-failure-hooks.sql" with { type: "text" };
import limits from "./migrations/0010-limits.sql" with { type: "text" };
import retries from "./migrations/0011-retries.sql" with { type: "text" };
import logLimits from "./migrations/0014-log-limits.sql" with { type: "text" };
import { acceptOlder, makePublicViews } from "./public-views.ts";

/** `pragma application_id` of our databases: "ojob". */
const APPLICATION_ID = 0x6f6a6f62;

/**
 * The migrations, in order; `pragma user_version` counts how many a database has had. A migration only adds to what older
 * versions see (columns with a default, tables, indexes; see public-views.ts), because their workers may still run and write.
 */
const MIGRATIONS: readonly string[] = [
  jobs,
  units,
  hooks,
  witness,
  output,
  records,
  fleet,
  usage,
  failureHooks,
  limits,
  retries,
  orphans,
  requests,
  logLimits,
];
export const SCHEMA_VERSION = MIGRATIONS.length;

/** Brings the schema up to date, unless another process has been faster. Call it inside a transaction. */
export function migrate(database: Database): void {
  const version = readVersion(database);
  if (version >= SCHEMA_VERSION) return;
  for (const migration of MIGRATIONS.slice(version)) database.run(migration);
  makePublicViews(database);
  if (version > 0) acceptOlder(database);
  if (version === 0) database.run(`pragma application_id = ${APPLICATION_ID}`);
  database.run(`pragma user_version = ${SCHEMA_VERSION}`);
}

/**
 * Finds out whether the Python orchesjob 1.1 has rebuilt a database of ours as its own. It does that if `jobs` is a table:
 * creates one with its own columns, copies them, drops ours, and renames. Returns the table that has the jobs now; undefined
 * if that has not happened.
 */
export function findRebuilt(database: Database): string | undefined {
  const jobs = columnsOf(database, "jobs");
  if (jobs.includes("cwd")) return undefined;
  if (jobs.length > 0) return isPython(database) ? "jobs" : undefined;
  const tables = database.query<{ name: string }, []>(
    "select name from sqlite_schema where type = 'table' and name <> 'job_records'",
  );
  return tables
    .all()
    .map(({ name }) => name)
    .find((name) => isPython(database, name));
}

export function rebuilt(path: string): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${path} was changed by the Python orchesjob 1.1: somebody called it on this directory, and it rebuilt the table of jobs as its own`,
    "leave it where it is, remove that call, and run: orchesjob doctor --fix (it keeps a copy, and restores the history from what is left)",
  );
}

function columnsOf(database: Database, table: string): readonly string[] {
  return database
    .query<{ name: string }, [string]>("select name from pragma_table_info(?)")
    .all(table)
    .map((column) => column.name);
}

/** Whether table `jobs` is the Python orchesjob's, and not that of any other program. */
export function isPython(database: Database, table = "jobs"): boolean {
  const names = columnsOf(database, table);
  return [
    "job_id",
    "run_key",
    "worker_pid",
    "target_pid",
    "command",
    "status",
    "exit_code",
    "started_at",
  ].every((name) => names.includes(name));
}

/** Whether the database is marked as ours; the Python orchesjob's is not. */
export function isOurs(database: Database): boolean {
  const row = database.query<{ application_id: number }, []>("pragma application_id").get()!;
  return row.application_id === APPLICATION_ID;
}

export function newerError(path: string, version: number): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${path} has schema ${version}, but this orchesjob knows only ${SCHEMA_VERSION}: it was written by a newer version`,
    "use that version",
  );
}

export function readVersion(database: Database): number {
  return database.query<{ user_version: number }, []>("pragma user_version").get()!.user_version;
}
