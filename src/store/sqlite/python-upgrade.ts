/**
 * The database of the Python orchesjob (1.0.x, 1.1.x), made ours: in one transaction, in place, so that a kill at any
 * point leaves the old one whole, and a Python worker that still runs finds its row where it was. A copy of the old
 * database is kept beside it.
 */
import type { Database } from "bun:sqlite";
import type { JobStatus } from "../../job/status.ts";
import { STATUSES } from "../../job/status.ts";
import { migrate, readVersion, transact } from "./connection.ts";
import { toInstant } from "./rows.ts";

/** Name of the copy, behind the database's own. */
export const PYTHON_COPY_SUFFIX = ".python";

/** Where a person is told what happens. */
export interface Reporter {
  notify(message: string): void;
  /** Shown on a terminal only. */
  progress(message: string): void;
}

/** Table `jobs` of either version; 1.0 lacks the columns from `updated_at` on, and its times are ISO texts. */
interface PythonRow {
  readonly job_id: string;
  readonly run_key: string | null;
  readonly worker_pid: number | null;
  readonly target_pid: number | null;
  readonly command: string;
  readonly status: string;
  readonly exit_code: number | null;
  readonly started_at: string | number | null;
  readonly finished_at: string | number | null;
  readonly updated_at?: number | null;
  readonly abort_reason?: string | null;
  readonly rerun_of_job_id?: string | null;
  readonly attempt_no?: number;
  readonly rerun_reason?: string | null;
}

const PROGRESS_STEP = 50_000;

/** Upgrades, or returns at once where another process has just done it. */
export function upgradePython(database: Database, path: string, reporter: Reporter): void {
  let upgraded = 0;
  transact(database, () => {
    if (readVersion(database) !== 0) return;
    keepCopy(database, path);
    database.run("alter table jobs rename to python_jobs");
    const overrides = hasTable(database, "strict_overrides");
    if (overrides) database.run("alter table strict_overrides rename to python_overrides");
    migrate(database);
    upgraded = copyJobs(database, reporter);
    if (overrides) {
      database.run(
        "insert into strict_overrides select run_key, allowed_at * 1000000, used_at * 1000000, reason, expires_at * 1000000 from python_overrides",
      );
      database.run("drop table python_overrides");
    }
    acceptPythonResults(database);
    for (const table of ["python_jobs", "run_keys", "schema_meta"])
      database.run(`drop table if exists ${table}`);
  });
  if (upgraded > 0) {
    reporter.notify(
      `upgraded ${upgraded} jobs of the Python orchesjob; the old database is kept as ${path}${PYTHON_COPY_SUFFIX} until you delete it or run: orchesjob clean`,
    );
  }
}

/** Writes the old database beside the new one, whole or not at all: a later reader of the same file never sees half. */
function keepCopy(database: Database, path: string): void {
  const bytes = database.serialize();
  const { writeFileSync, renameSync } = process.getBuiltinModule("node:fs");
  const unfinished = `${path}${PYTHON_COPY_SUFFIX}.unfinished`;
  writeFileSync(unfinished, bytes, { mode: 0o600, flush: true });
  renameSync(unfinished, `${path}${PYTHON_COPY_SUFFIX}`);
}

function hasTable(database: Database, name: string): boolean {
  return database.query("select 1 from sqlite_schema where type = 'table' and name = ?").get(name) !== null;
}

function copyJobs(database: Database, reporter: Reporter): number {
  const total = database.query<{ count: number }, []>("select count(*) as count from python_jobs").get()!
    .count;
  const insert = database.query(
    `insert into jobs (seq, job_id, run_key, attempt_no, status, command, cwd, worker_pid, target_pid, exit_code, lost_reason,
       started_at, finished_at, updated_at, cancel_reason, rerun_of_job_id, rerun_reason, host)
     values ($seq, $jobId, $runKey, $attemptNo, $status, $command, '', $workerPid, $targetPid, $exitCode, $lostReason,
       $startedAt, $finishedAt, $updatedAt, $cancelReason, $rerunOf, $rerunReason, '')`,
  );
  // ISO texts of one writer sort as their instants do, but for a change of offset; so they are compared as instants.
  const order = database
    .query<{ position: number; started_at: string | number | null }, []>(
      "select rowid as position, started_at from python_jobs",
    )
    .all()
    .map((row) => ({
      position: row.position,
      startedAt: row.started_at === null ? 0 : toInstant(row.started_at),
    }))
    .sort((a, b) => a.startedAt - b.startedAt || a.position - b.position);
  const newestActive = findNewestActive(database, order);
  const fetch = database.query<PythonRow, [number]>("select * from python_jobs where rowid = ?");
  const attempts = new Map<string, number>();
  order.forEach(({ position, startedAt }, index) => {
    const row = fetch.get(position)!;
    const runKey = row.run_key ?? row.job_id;
    // 1.0 has no numbers and 1.1 may have repeated ones: the order of starts counts, and a larger number is kept.
    const attemptNo = Math.max((attempts.get(runKey) ?? 0) + 1, row.attempt_no ?? 1);
    attempts.set(runKey, attemptNo);
    const status = toStatus(row.status, newestActive.get(runKey) !== position);
    insert.run({
      seq: index + 1,
      jobId: row.job_id,
      runKey,
      attemptNo,
      status,
      command: toCommand(row.command),
      workerPid: row.worker_pid,
      targetPid: row.target_pid,
      exitCode: row.exit_code,
      lostReason: status === "LOST" ? "unknown" : null,
      startedAt,
      finishedAt: row.finished_at === null ? null : toInstant(row.finished_at),
      updatedAt: row.updated_at == null ? null : toInstant(row.updated_at),
      cancelReason: row.abort_reason ?? null,
      rerunOf: row.rerun_of_job_id ?? null,
      rerunReason: row.rerun_reason ?? null,
    });
    if ((index + 1) % PROGRESS_STEP === 0) reporter.progress(`upgrading: ${index + 1} of ${total} jobs`);
  });
  return total;
}

/** The Python versions could let two jobs of a key be active; law 1 keeps the newest of them. */
function findNewestActive(database: Database, order: readonly { position: number }[]): Map<string, number> {
  const rank = new Map(order.map(({ position }, index) => [position, index]));
  const newest = new Map<string, number>();
  const active = database.query<{ position: number; run_key: string }, []>(
    "select rowid as position, coalesce(run_key, job_id) as run_key from python_jobs where status in ('STARTING', 'RUNNING')",
  );
  for (const row of active.all()) {
    const known = newest.get(row.run_key);
    if (known === undefined || rank.get(known)! < rank.get(row.position)!)
      newest.set(row.run_key, row.position);
  }
  return newest;
}

function toStatus(status: string, superseded: boolean): JobStatus {
  if (status === "ABORTED") return "CANCELLED";
  const known = STATUSES.find((name) => name === status) ?? "LOST";
  return superseded && (known === "STARTING" || known === "RUNNING") ? "LOST" : known;
}

/** The command as a JSON array of strings, whatever a hand may have written there. */
function toCommand(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return JSON.stringify(value.map(String));
  } catch {
    // Not JSON: the text itself is the command.
  }
  return JSON.stringify([text]);
}

/** A Python worker that still runs will write its result in its own form (ISO text, or seconds); it is put into ours.
 *  SQLite's clock knows milliseconds only: the six decimals, which Python leaves out where they are zero, are ours to add. */
function acceptPythonResults(database: Database): void {
  database.run(`
    create trigger jobs_python_result after update of finished_at on jobs
    when new.boot_id is null and new.finished_at is not null
      and (typeof(new.finished_at) = 'text' or new.finished_at < 100000000000)
    begin
      update jobs set finished_at = case typeof(new.finished_at)
        when 'text' then case substr(new.finished_at, 20, 1)
          when '.' then unixepoch(substr(new.finished_at, 1, 19) || substr(new.finished_at, 27)) * 1000000
            + cast(substr(new.finished_at, 21, 6) as integer)
          else unixepoch(new.finished_at) * 1000000 end
        else new.finished_at * 1000000 end
      where seq = new.seq;
    end`);
  // Law 4: what we have decided meanwhile (the job was cancelled, say) stands.
  database.run(`
    create trigger jobs_python_final before update of status on jobs
    when old.boot_id is null and old.status not in ('STARTING', 'RUNNING')
    begin
      select raise(ignore);
    end`);
}
