/**
 * What the Python orchesjob does to the database, statement by statement, written from the description of its tables:
 * the start-up that each of its commands runs, and what its commands and workers write.
 */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

const JOBS_10 = `job_id TEXT PRIMARY KEY, run_key TEXT, worker_pid INTEGER, target_pid INTEGER, command TEXT NOT NULL,
  status TEXT NOT NULL, exit_code INTEGER, stdout_file TEXT, stderr_file TEXT, started_at TEXT, finished_at TEXT`;
const JOBS_11 = `job_id TEXT PRIMARY KEY, run_key TEXT, worker_pid INTEGER, target_pid INTEGER, command TEXT NOT NULL,
  status TEXT NOT NULL, exit_code INTEGER, stdout_file TEXT, stderr_file TEXT, started_at INTEGER, finished_at INTEGER,
  updated_at INTEGER, aborted_at INTEGER, abort_reason TEXT, rerun_of_job_id TEXT, attempt_no INTEGER NOT NULL DEFAULT 1,
  rerun_reason TEXT`;
const ADDED_11: Readonly<Record<string, string>> = {
  updated_at: "INTEGER",
  aborted_at: "INTEGER",
  abort_reason: "TEXT",
  rerun_of_job_id: "TEXT",
  attempt_no: "INTEGER NOT NULL DEFAULT 1",
  rerun_reason: "TEXT",
};
const COPIED = `job_id, run_key, worker_pid, target_pid, command, status, exit_code, stdout_file, stderr_file, started_at,
  finished_at, updated_at, aborted_at, abort_reason, rerun_of_job_id, attempt_no, rerun_reason`;

/** How 1.1 may convert the times. */
export type Conversion = "as they are" | "by strftime";

export class PythonProgram {
  readonly #database: Database;

  constructor(box: Sandbox) {
    this.#database = new Database(join(box.home, "orchesjob.db"), { readwrite: true, create: true });
    this.#database.run("pragma busy_timeout = 20000");
  }

  /** Like Python's sqlite3: a statement that changes rows begins a transaction, which lasts until the commit. */
  execute(sql: string): void {
    if (/^\s*(insert|update|delete|replace)/i.test(sql) && !this.#database.inTransaction)
      this.#database.run("begin");
    this.#database.run(sql);
  }

  commit(): void {
    if (this.#database.inTransaction) this.#database.run("commit");
  }

  [Symbol.dispose](): void {
    if (this.#database.inTransaction) this.#database.run("rollback");
    this.#database.close();
  }

  startUp10(): void {
    this.execute("pragma journal_mode = wal");
    this.execute(`create table if not exists jobs (${JOBS_10})`);
    this.execute(
      "create table if not exists run_keys (run_key TEXT PRIMARY KEY, job_id TEXT NOT NULL REFERENCES jobs(job_id), created_at TEXT NOT NULL)",
    );
    this.commit();
  }

  /** Returns whether it rebuilt the table. */
  startUp11(conversion: Conversion = "as they are"): boolean {
    this.execute("pragma journal_mode = wal");
    this.execute(`create table if not exists jobs (${JOBS_11})`);
    this.execute(
      "create table if not exists run_keys (run_key TEXT PRIMARY KEY, job_id TEXT NOT NULL REFERENCES jobs(job_id), created_at INTEGER NOT NULL)",
    );
    this.execute(
      "create table if not exists strict_overrides (run_key TEXT PRIMARY KEY, allowed_at INTEGER NOT NULL, used_at INTEGER, reason TEXT, expires_at INTEGER)",
    );
    this.execute("create table if not exists schema_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
    const columns = this.#columns();
    for (const [name, type] of Object.entries(ADDED_11))
      if (!columns.has(name)) this.execute(`alter table jobs add column ${name} ${type}`);
    const rebuilds = !columns.get("finished_at")!.toUpperCase().includes("INT");
    if (rebuilds) this.rebuild(conversion);
    this.commit();
    return rebuilds;
  }

  rebuild(conversion: Conversion): void {
    const time = (name: string) =>
      conversion === "as they are" ? name : `cast(strftime('%s', ${name}) as integer)`;
    const values = COPIED.replaceAll(/\b(started_at|finished_at)\b/g, (name) => time(name));
    this.execute(`create table jobs_new (${JOBS_11})`);
    this.execute(`insert into jobs_new (${COPIED}) select ${values} from jobs`);
    this.execute("drop table jobs");
    this.execute("alter table jobs_new rename to jobs");
    this.execute("insert or replace into schema_meta (key, value) values ('schema_version', '2')");
  }

  /** Rebuilds the table inside a transaction that is already open. */
  rebuildWithin(): void {
    this.execute("create table if not exists schema_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
    for (const [name, type] of Object.entries(ADDED_11))
      if (!this.#columns().has(name)) this.execute(`alter table jobs add column ${name} ${type}`);
    this.rebuild("as they are");
    this.commit();
  }

  #columns(): Map<string, string> {
    const rows = this.#database.query<{ name: string; type: string }, []>("pragma table_info(jobs)").all();
    return new Map(rows.map(({ name, type }) => [name, type]));
  }
}
