/** The verbs of the store, on SQLite. The only file with statements on jobs; reads need no transaction, every change is one. */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import type { Instant, Job, LostReason, NewJob, Outcome, ProcessIdentity } from "../../job/job.ts";
import { ACTIVE, EVENTS, isActive, type JobEvent } from "../../job/status.ts";
import type { CleanCandidate, JobStore } from "../store.ts";
import { openDatabase, transact, translateErrors } from "./connection.ts";
import { PYTHON_COPY_SUFFIX, type Reporter, upgradePython } from "./python-upgrade.ts";
import { type JobRow, toJob } from "./rows.ts";

/** A log this small is read in no time by the next process that opens the database. */
const TIDY_WAL_BYTES = 400_000;

const quote = (values: readonly string[]) => values.map((value) => `'${value}'`).join(", ");
const IS_ACTIVE = `status in (${quote(ACTIVE)})`;
const IS_FINISHED = `status not in (${quote(ACTIVE)})`;
const OUTCOME = `exit_code = $exitCode, signal = $signal, error = $error, finished_at = $at,
    target_pid = coalesce($pid, target_pid), target_start = coalesce($start, target_start)`;
const ENDED_AT = "coalesce(finished_at, started_at)";

export const QUERIES = {
  find: "select * from jobs where job_id = $jobId",
  latest: "select * from jobs where run_key = $runKey order by attempt_no desc limit 1",
  history: "select * from jobs where run_key = $runKey order by attempt_no desc",
  active: `select * from jobs where ${IS_ACTIVE} order by run_key`,
  finishedBefore: `select * from jobs where ${IS_FINISHED} and ${ENDED_AT} < $before
    and (${ENDED_AT}, seq) > ($afterEnd, $afterSeq) order by ${ENDED_AT}, seq limit $limit`,
  countFinishedBefore: `select count(*) as count from jobs where ${IS_FINISHED} and ${ENDED_AT} < $before`,
  remove: `delete from jobs where ${IS_FINISHED} and job_id in (select value from json_each($jobIds))`,
  insert: `insert into jobs (job_id, run_key, attempt_no, status, command, cwd, started_at, updated_at, host, boot_id, pid_namespace)
    values ($jobId, $runKey, $attemptNo, 'STARTING', $command, $cwd, $at, $at, $host, $bootId, $pidNamespace) returning *`,
  recordTarget: `update jobs set target_pid = $pid, target_start = $start, updated_at = $at where job_id = $jobId and ${IS_ACTIVE}`,
  ...eventStatements({
    run: "worker_pid = $pid, worker_start = $start, host = $host, boot_id = $bootId, pid_namespace = $pidNamespace",
    succeed: OUTCOME,
    fail: OUTCOME,
    cancel: OUTCOME,
    lose: "lost_reason = $reason, finished_at = $at",
  }),
};

/** One guarded statement for each event of the state machine. */
function eventStatements(columns: Record<JobEvent, string>): Record<JobEvent, string> {
  const statement = (event: JobEvent) =>
    `update jobs set status = '${EVENTS[event].to}', updated_at = $at, ${columns[event]}
     where job_id = $jobId and status in (${quote(EVENTS[event].from)}) returning *`;
  return Object.fromEntries(
    Object.keys(columns).map((event) => [event, statement(event as JobEvent)]),
  ) as Record<JobEvent, string>;
}

/** Opens the store in a database file; undefined where there is none and `create` is false. */
export function openSqliteStore(
  path: string,
  options: { readonly create: boolean; readonly patienceMs: number } & Reporter,
): JobStore | undefined {
  const { create, patienceMs } = options;
  const database = openDatabase(path, {
    create,
    patienceMs,
    upgrade: (db) => upgradePython(db, path, options),
  });
  return database === undefined ? undefined : new SqliteStore(database, path, patienceMs);
}

class SqliteStore implements JobStore {
  readonly #database: Database;
  readonly #path: string;
  readonly #patienceMs: number;

  constructor(database: Database, path: string, patienceMs: number) {
    this.#database = database;
    this.#path = path;
    this.#patienceMs = patienceMs;
  }

  async claim(job: NewJob, expected: string | undefined, at: Instant): Promise<Job | undefined> {
    return this.#transact(() => {
      const latest = this.#row("latest", { runKey: job.runKey });
      if (latest?.job_id !== expected || (latest !== undefined && isActive(latest.status))) return undefined;
      const { jobId, runKey, attemptNo, command, cwd, origin } = job;
      return toJob(
        this.#row("insert", {
          jobId,
          runKey,
          attemptNo,
          command: JSON.stringify(command),
          cwd,
          at,
          ...origin,
        })!,
      );
    });
  }

  async find(jobId: string): Promise<Job | undefined> {
    return this.#one("find", { jobId });
  }

  async latest(runKey: string): Promise<Job | undefined> {
    return this.#one("latest", { runKey });
  }

  async history(runKey: string): Promise<readonly Job[]> {
    return this.#all("history", { runKey }).map(toJob);
  }

  async active(): Promise<readonly Job[]> {
    return this.#all("active", {})
      .sort((a, b) => a.seq - b.seq)
      .map(toJob);
  }

  async run(
    jobId: string,
    worker: ProcessIdentity,
    origin: NewJob["origin"],
    at: Instant,
  ): Promise<Job | undefined> {
    // Not synced: if the power fails now, the job is lost either way, and the accept before it was synced.
    return this.#unsynced(() =>
      this.#change("run", { jobId, pid: worker.pid, start: worker.startTicks, ...origin, at }),
    );
  }

  async recordTarget(jobId: string, target: ProcessIdentity, at: Instant): Promise<void> {
    this.#unsynced(() =>
      this.#change("recordTarget", { jobId, pid: target.pid, start: target.startTicks, at }),
    );
  }

  async finish(
    jobId: string,
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
  ): Promise<Job | undefined> {
    const event = outcome.exitCode === 0 ? "succeed" : "fail";
    return this.#change(event, {
      jobId,
      ...outcome,
      pid: target?.pid ?? null,
      start: target?.startTicks ?? null,
      at,
    });
  }

  async lose(jobId: string, reason: LostReason, at: Instant): Promise<Job | undefined> {
    return this.#change("lose", { jobId, reason, at });
  }

  async finishedBefore(
    before: Instant,
    limit: number,
    after?: CleanCandidate,
  ): Promise<readonly CleanCandidate[]> {
    const cursor = {
      afterEnd: after ? (after.job.finishedAt ?? after.job.startedAt) : Number.MIN_SAFE_INTEGER,
      afterSeq: after?.position ?? 0,
    };
    return this.#all("finishedBefore", { before, limit, ...cursor }).map((row) => ({
      position: row.seq,
      job: toJob(row),
    }));
  }

  async countFinishedBefore(before: Instant): Promise<number> {
    return this.#attempt(() => {
      return this.#database
        .query<{ count: number }, SQLQueryBindings>(QUERIES.countFinishedBefore)
        .get({ before })!.count;
    });
  }

  async remove(jobIds: readonly string[]): Promise<number> {
    return this.#unsynced(() =>
      this.#attempt(
        () => this.#database.query(QUERIES.remove).run({ jobIds: JSON.stringify(jobIds) }).changes,
      ),
    );
  }

  async discardOldCopy(): Promise<void> {
    const copy = Bun.file(this.#path + PYTHON_COPY_SUFFIX);
    if (await copy.exists()) await copy.delete();
  }

  async tidy(): Promise<void> {
    if (Bun.file(`${this.#path}-wal`).size < TIDY_WAL_BYTES) return;
    this.#attempt(() => this.#database.run("pragma wal_checkpoint(passive)"));
  }

  close(): void {
    this.#database.close();
  }

  #attempt<T>(work: () => T): T {
    return translateErrors(this.#path, this.#patienceMs, work);
  }

  #transact<T>(body: () => T): T {
    return this.#attempt(() => transact(this.#database, body));
  }

  #unsynced<T>(work: () => T): T {
    // A pragma may have to read the schema, so it can fail as any statement can.
    this.#attempt(() => this.#database.run("pragma synchronous = normal"));
    try {
      return work();
    } finally {
      this.#attempt(() => this.#database.run("pragma synchronous = full"));
    }
  }

  #row(query: keyof typeof QUERIES, bindings: Record<string, string | number | null>): JobRow | undefined {
    return this.#database.query<JobRow, SQLQueryBindings>(QUERIES[query]).get(bindings) ?? undefined;
  }

  #one(query: keyof typeof QUERIES, bindings: Record<string, string | number | null>): Job | undefined {
    const row = this.#attempt(() => this.#row(query, bindings));
    return row === undefined ? undefined : toJob(row);
  }

  /** A change is stepped to its end, so that a commit that fails is reported: `get` would stop at the first row. */
  #change(query: keyof typeof QUERIES, bindings: Record<string, string | number | null>): Job | undefined {
    const row = this.#all(query, bindings)[0];
    return row === undefined ? undefined : toJob(row);
  }

  #all(query: keyof typeof QUERIES, bindings: Record<string, string | number | null>): JobRow[] {
    return this.#attempt(() => this.#database.query<JobRow, SQLQueryBindings>(QUERIES[query]).all(bindings));
  }
}
