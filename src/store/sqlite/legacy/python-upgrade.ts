/**
 * Upgrades a database of the Python orchesjob (1.0.x, 1.1.x): in one transaction, in place, so that a kill at any point leaves
 * the old one intact, and a Python worker that still runs finds its row where it was. It keeps a copy of the old database
 * beside it.
 */
import type { Database } from "bun:sqlite";
import type { Instant } from "../../../job/job.ts";
import { isActive, type JobStatus, STATUSES } from "../../../job/status.ts";
import { transact } from "../connection.ts";
import { acceptPythonResults } from "../public-views.ts";
import { toInstant } from "../rows.ts";
import { migrate, readVersion } from "../schema.ts";

/** Suffix of the copy, after the database's name. */
export const PYTHON_COPY_SUFFIX = ".python";

/** Reports to the user what happens. */
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

/** Upgrades, or returns at once if another process has just done it. */
export function upgradePython(database: Database, path: string, reporter: Reporter): void {
  let upgraded = 0;
  transact(database, () => {
    if (readVersion(database) !== 0) return;
    keepCopy(database, path + PYTHON_COPY_SUFFIX);
    database.run("alter table jobs rename to python_jobs");
    const overrides = hasTable(database, "strict_overrides");
    if (overrides) database.run("alter table strict_overrides rename to python_overrides");
    migrate(database);
    upgraded = copyJobs(database, reporter);
    if (overrides) {
      database.run(
        "insert into unlocks select run_key, allowed_at * 1000000, used_at * 1000000, reason, expires_at * 1000000 from python_overrides",
      );
      database.run("drop table python_overrides");
    }
    database.run("drop table python_jobs");
    acceptPythonResults(database);
  });
  if (upgraded > 0) {
    reporter.notify(
      `upgraded ${upgraded} ${upgraded === 1 ? "job" : "jobs"} of the Python orchesjob; the old database is kept as ${path}${PYTHON_COPY_SUFFIX} until you delete it, or clean does`,
    );
  }
}

/** Writes the database as it is to another file, as a whole or not at all. */
export function keepCopy(database: Database, path: string): void {
  const bytes = database.serialize();
  const { writeFileSync, renameSync } = process.getBuiltinModule("node:fs");
  const unfinished = `${path}.unfinished`;
  writeFileSync(unfinished, bytes, { mode: 0o600, flush: true });
  renameSync(unfinished, path);
}

function hasTable(database: Database, name: string): boolean {
  return database.query("select 1 from sqlite_schema where type = 'table' and name = ?").get(name) !== null;
}

/**
 * Copies `python_jobs` into our table and returns the number of jobs. `isHeld`: whether a job's worker lives for certain,
 * whatever the row says.
 */
export function copyJobs(database: Database, reporter: Reporter, isHeld = (_jobId: string) => false): number {
  const total = database.query<{ count: number }, []>("select count(*) as count from python_jobs").get()!
    .count;
  const insert = database.query(
    `insert into job_records (seq, job_id, run_key, attempt_no, status, command, cwd, worker_pid, target_pid, exit_code, lost_reason,
       started_at, finished_at, updated_at, cancel_reason, rerun_of_job_id, rerun_reason, host)
     values ($seq, $jobId, $runKey, $attemptNo, $status, $command, '', $workerPid, $targetPid, $exitCode, $lostReason,
       $startedAt, $finishedAt, $updatedAt, $cancelReason, $rerunOf, $rerunReason, '')`,
  );
  // ISO texts sort as their instants do unless the offset changes; so compare the instants.
  const order = database
    .query<{ position: number; job_id: string; started_at: string | number | null }, []>(
      "select rowid as position, job_id, started_at from python_jobs",
    )
    .all()
    .map((row) => ({
      position: row.position,
      startedAt: readInstant(row.started_at) ?? instantInId(row.job_id) ?? 0,
    }))
    .sort((a, b) => a.startedAt - b.startedAt || a.position - b.position);
  const newestActive = findNewestActive(database, order, isHeld);
  const fetch = database.query<PythonRow, [number]>("select * from python_jobs where rowid = ?");
  const attempts = new Map<string, number>();
  order.forEach(({ position, startedAt }, index) => {
    const row = fetch.get(position)!;
    const runKey = row.run_key ?? row.job_id;
    // 1.0 has no numbers, and 1.1 may have repeated some: number the starts in their order, but keep a larger number.
    const attemptNo = Math.max((attempts.get(runKey) ?? 0) + 1, row.attempt_no ?? 1);
    attempts.set(runKey, attemptNo);
    const status =
      newestActive.get(runKey) === position ? toActive(row.status) : toInactive(toStatus(row.status));
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
      finishedAt: isActive(status) ? null : readInstant(row.finished_at),
      updatedAt: readInstant(row.updated_at ?? null),
      cancelReason: row.abort_reason ?? null,
      rerunOf: row.rerun_of_job_id ?? null,
      rerunReason: row.rerun_reason ?? null,
    });
    if ((index + 1) % PROGRESS_STEP === 0) reporter.progress(`upgrading: ${index + 1} of ${total} jobs`);
  });
  return total;
}

/**
 * Finds the job of each key that stays active: the newest, or one whose worker lives. The Python versions could let two jobs
 * of a key be active; ours may not.
 */
function findNewestActive(
  database: Database,
  order: readonly { position: number }[],
  isHeld: (jobId: string) => boolean,
): Map<string, number> {
  const rank = new Map(order.map(({ position }, index) => [position, index]));
  const newest = new Map<string, { readonly position: number; readonly held: boolean }>();
  const active = database.query<{ position: number; run_key: string; job_id: string; status: string }, []>(
    "select rowid as position, coalesce(run_key, job_id) as run_key, job_id, status from python_jobs where status in ('STARTING', 'RUNNING', 'LOST')",
  );
  for (const { position, run_key, job_id, status } of active.all()) {
    const held = isHeld(job_id);
    if (status === "LOST" && !held) continue;
    const known = newest.get(run_key);
    const isNewer = known === undefined || rank.get(known.position)! < rank.get(position)!;
    if (known === undefined || (held && !known.held) || (held === known.held && isNewer))
      newest.set(run_key, { position, held });
  }
  return new Map([...newest].map(([runKey, { position }]) => [runKey, position]));
}

function toStatus(status: string): JobStatus {
  if (status === "ABORTED") return "CANCELLED";
  return STATUSES.find((name) => name === status) ?? "LOST";
}

/** A LOST job whose worker lives was never lost. */
function toActive(status: string): JobStatus {
  return status === "STARTING" ? "STARTING" : "RUNNING";
}

function toInactive(status: JobStatus): JobStatus {
  return isActive(status) ? "LOST" : status;
}

/** Reads a time in any form; null if nobody can say what it means. */
function readInstant(value: string | number | null): Instant | null {
  if (value === null || value === "") return null;
  const number = Number(value);
  if (Number.isFinite(number)) return Math.round(toInstant(number));
  try {
    return toInstant(value);
  } catch {
    return null;
  }
}

/** When an id of ours was created: it is a UUID of version 7, which begins with the ms since 1970. */
function instantInId(jobId: string): Instant | undefined {
  const ms = /^([0-9a-f]{8})-([0-9a-f]{4})-7/.exec(jobId);
  return ms === null ? undefined : Number.parseInt(`${ms[1]}${ms[2]}`, 16) * 1000;
}

/** The command as a JSON array of strings, whatever somebody may have written there by hand. */
function toCommand(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return JSON.stringify(value.map(String));
  } catch {
    // Not JSON: the text itself is the command.
  }
  return JSON.stringify([text]);
}
