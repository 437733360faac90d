/** The verbs of the store, on SQLite. The only file with statements on jobs; reads need no transaction, every change is one. */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import { OrchesjobError } from "../../job/errors.ts";
import type {
  CancelRequest,
  HookResult,
  Instant,
  Job,
  LostReason,
  NewJob,
  Outcome,
  ProcessIdentity,
} from "../../job/job.ts";
import { isActive, type JobStatus } from "../../job/status.ts";
import type {
  ClaimTerms,
  CleanCandidate,
  JobStore,
  ListFilter,
  Size,
  Statistics,
  StatisticsRequest,
  Strictness,
} from "../store.ts";
import { openDatabase, type OpenOptions, transact } from "./connection.ts";
import { translateErrors } from "./errors.ts";
import { PYTHON_COPY_SUFFIX, type Reporter, upgradePython } from "./legacy/python-upgrade.ts";
import { dropTriggersOfThePast } from "./public-views.ts";
import { type Query, quote, textOf } from "./queries.ts";
import { type CandidateRow, type JobRow, toJob, toJobs, toLeft } from "./rows.ts";

/** A write-ahead log this small is read in no time by the next process that opens the database. */
const TIDY_WAL_BYTES = 400_000;

/** Pages that are moved at a time: a few ms. */
const SHRINK_PAGES = 1_000;

/** Deleting thousands of jobs touches pages all over the index of run keys; with 2 MB (SQLite's default) they come and go. */
const REMOVE_CACHE_KIB = 32_000;

/** Opens the store in a database file; undefined where there is none and `create` is false. */
export function openSqliteStore(
  path: string,
  options: Pick<OpenOptions, "create" | "patienceMs" | "acceptNewer" | "upgrades"> & Reporter,
): JobStore | undefined {
  const { create, patienceMs, acceptNewer, upgrades = true } = options;
  const upgrade = (database: Database) => upgradePython(database, path, options);
  const database = openDatabase(path, { create, patienceMs, acceptNewer, upgrades, upgrade });
  if (database === undefined) return undefined;
  // A newer version may have come meanwhile: it goes on for who has been there before, as with a connection that stays.
  const again = { create: false, patienceMs, acceptNewer: true, upgrades, upgrade };
  return new SqliteStore(database, path, patienceMs, () => openDatabase(path, again));
}

/** SQLITE_FCNTL_HAS_MOVED: whether the database's name is that of another file now, or of none. */
const HAS_MOVED = 20;

type Bindings = Record<string, string | number | null>;

/** What the jobs of a run key leave to one that is put among them. */
interface Place {
  readonly highest: number | null;
  readonly taken: number;
  readonly active: number;
}

/** Sorts behind every text that begins with the prefix. */
function endOf(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}

class SqliteStore implements JobStore {
  /** Undefined while it rests. */
  #connection: Database | undefined;
  readonly #path: string;
  readonly #patienceMs: number;
  readonly #reopen: () => Database | undefined;

  constructor(connection: Database, path: string, patienceMs: number, reopen: () => Database | undefined) {
    this.#connection = connection;
    this.#path = path;
    this.#patienceMs = patienceMs;
    this.#reopen = reopen;
  }

  async claim(job: NewJob, terms: ClaimTerms, at: Instant): Promise<Job | undefined> {
    return this.#transact(() => {
      const { jobId, runKey } = job;
      const latest = this.#row("latest", { runKey });
      if (latest?.job_id !== terms.expected || (latest !== undefined && isActive(latest.status)))
        return undefined;
      if (job.requestId !== null && this.#row("findRequest", { runKey, requestId: job.requestId }))
        return undefined;
      if (terms.useOverride && this.#execute("useOverride", { runKey, at }) === 0) return undefined;
      const row = this.#insert(job, "STARTING", at);
      if (job.requestId !== null)
        this.#execute("bindNewRequest", { runKey, requestId: job.requestId, jobId });
      if (terms.strict) this.#execute("rememberStrict", { runKey, jobId });
      return toJob(row);
    });
  }

  async adopt(job: Job): Promise<Job | undefined> {
    const { jobId, runKey, origin, worker, target, cancelRequest } = job;
    if (origin === null || worker === null) return undefined;
    return this.#transact(() => {
      const known = this.#row("find", { jobId });
      if (known !== undefined) return toJob(known);
      const place = this.#database
        .query<Place, SQLQueryBindings>(textOf("place"))
        .get({ runKey, attemptNo: job.attemptNo })!;
      const next = (place.highest ?? 0) + 1;
      if (isActive(job.status) && place.active > 0) return undefined;
      // Who looks for a key's active job looks at its newest.
      const attemptNo = isActive(job.status)
        ? Math.max(job.attemptNo, next)
        : place.taken > 0
          ? next
          : job.attemptNo;
      this.#insert({ ...job, attemptNo, origin, worker }, job.status, job.startedAt);
      if (job.requestId !== null) this.#execute("bindRequest", { runKey, requestId: job.requestId, jobId });
      const row = this.#row("fillIn", {
        jobId,
        exitCode: job.exitCode,
        signal: job.signal,
        error: job.error,
        failure: job.failure,
        lostReason: job.lostReason,
        finishedAt: job.finishedAt,
        targetPid: target?.pid ?? null,
        targetStart: target?.startTicks ?? null,
        targetInode: target?.inode || null,
        left: toLeft(job.leftBehind),
        unit: job.unit,
        cancelAt: cancelRequest?.at ?? null,
        cancelReason: job.cancelReason,
        graceMs: cancelRequest?.graceMs ?? null,
        cancelPid: cancelRequest?.pid ?? null,
      });
      return toJob(row!);
    });
  }

  /** Inside a transaction. */
  #insert(job: Omit<NewJob, "token"> & Pick<Job, "token">, status: JobStatus, at: Instant): JobRow {
    const row = this.#row("insert", {
      jobId: job.jobId,
      runKey: job.runKey,
      attemptNo: job.attemptNo,
      status,
      command: JSON.stringify(job.command),
      cwd: job.cwd,
      env: job.env.length === 0 ? null : JSON.stringify(job.env),
      labels: job.labels.size === 0 ? null : JSON.stringify(Object.fromEntries(job.labels)),
      timeoutMs: job.timeoutMs,
      requestId: job.requestId,
      rerunOfJobId: job.rerunOfJobId,
      rerunReason: job.rerunReason,
      scope: job.scope === "auto" ? null : job.scope,
      output: job.output === "file" ? null : job.output,
      stdin: job.stdin,
      properties: job.properties.length === 0 ? null : JSON.stringify(job.properties),
      onExit: job.onExit?.command ?? null,
      onExitTimeoutMs: job.onExit?.timeoutMs ?? null,
      at,
      pid: job.worker.pid,
      start: job.worker.startTicks,
      token: job.token,
      ...job.origin,
    });
    return row!;
  }

  async findRequest(runKey: string, requestId: string): Promise<Job | undefined> {
    return this.#one("findRequest", { runKey, requestId });
  }

  async bindRequest(runKey: string, requestId: string, jobId: string): Promise<void> {
    this.#attempt(() => this.#execute("bindRequest", { runKey, requestId, jobId }));
  }

  async strictness(runKey: string, at: Instant): Promise<Strictness> {
    return this.#attempt(() => ({
      strictJobId: this.#database
        .query<{ job_id: string }, SQLQueryBindings>(textOf("strictJobId"))
        .get({ runKey })?.job_id,
      override: this.#database.query(textOf("override")).get({ runKey, at }) !== null,
    }));
  }

  async unlock(runKey: string, reason: string | null, at: Instant, expiresAt: Instant | null): Promise<void> {
    this.#attempt(() => this.#execute("unlock", { runKey, reason, at, expiresAt }));
  }

  async find(jobId: string): Promise<Job | undefined> {
    return this.#one("find", { jobId });
  }

  async latest(runKey: string): Promise<Job | undefined> {
    return this.#one("latest", { runKey });
  }

  async history(runKey: string): Promise<readonly Job[]> {
    return toJobs(this.#all("history", { runKey }));
  }

  async active(): Promise<readonly Job[]> {
    // Most often there is none, and a statement for whole rows takes 140,000 instructions more to prepare.
    if (this.#attempt(() => this.#row("anyActive", {})) === undefined) return [];
    return toJobs(this.#all("active", {}).sort((a, b) => a.seq - b.seq));
  }

  async list(filter: ListFilter): Promise<readonly Job[]> {
    // A condition that is not asked for is left out, so that SQLite can choose the index that serves the others.
    const { statuses, runKeyPrefix: prefix, since, until, limit } = filter;
    const conditions: string[] = [];
    const bindings: Bindings = { limit };
    const add = (condition: string, values: Bindings) => {
      conditions.push(condition);
      Object.assign(bindings, values);
    };
    if (statuses.length > 0) add(`status in (${quote(statuses)})`, {});
    if (prefix !== "")
      add("run_key >= $prefix and run_key < $prefixEnd", { prefix, prefixEnd: endOf(prefix) });
    if (since !== undefined) add("started_at >= $since", { since });
    if (until !== undefined) add("started_at < $until", { until });
    const where = conditions.length > 0 ? `where ${conditions.join(" and ")}` : "";
    const statement = `select * from job_records ${where} order by seq desc limit $limit`;
    return this.#attempt(() =>
      toJobs(this.#database.query<JobRow, SQLQueryBindings>(statement).all(bindings)),
    );
  }

  async runKeys(prefix: string, limit: number): Promise<readonly string[]> {
    return this.#all("runKeys", { prefix, prefixEnd: endOf(prefix), limit }).map((row) => row.run_key);
  }

  async jobsById(prefix: string, limit: number): Promise<readonly Job[]> {
    return toJobs(this.#all("jobIds", { prefix, prefixEnd: endOf(prefix), limit }));
  }

  async statistics(request: StatisticsRequest): Promise<Statistics> {
    // Its statements are of use to nobody else, so they are loaded here.
    const { readStatistics } = await import("./statistics.ts");
    return this.#attempt(() => readStatistics(this.#database, request));
  }

  async size(): Promise<Size> {
    return { bytes: Bun.file(this.#path).size, pendingBytes: Bun.file(`${this.#path}-wal`).size };
  }

  async run(
    jobId: string,
    worker: ProcessIdentity,
    { origin, unit }: Pick<Job, "unit"> & Pick<NewJob, "origin">,
    at: Instant,
  ): Promise<Job | undefined> {
    // Not synced: if the power fails now, the job is lost either way, and the accept before it was synced.
    return this.#unsynced(() =>
      this.#change("run", { jobId, pid: worker.pid, start: worker.startTicks, ...origin, unit, at }),
    );
  }

  async recordTarget(jobId: string, target: ProcessIdentity, at: Instant): Promise<boolean> {
    const { pid, startTicks: start, inode } = target;
    const bindings = { jobId, pid, start, inode: inode || null, at };
    return this.#unsynced(() => this.#attempt(() => this.#execute("recordTarget", bindings))) > 0;
  }

  async finish(
    jobId: string,
    event: "succeed" | "fail" | "cancel",
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
    leftBehind: readonly ProcessIdentity[] | null = null,
  ): Promise<Job | undefined> {
    return this.#change(event, {
      jobId,
      ...outcome,
      pid: target?.pid ?? null,
      start: target?.startTicks ?? null,
      inode: target?.inode || null,
      left: toLeft(leftBehind),
      at,
    });
  }

  async recordLeft(
    jobId: string,
    leftBehind: readonly ProcessIdentity[],
    end: Pick<Outcome, "exitCode" | "signal"> | null,
  ): Promise<void> {
    // Not synced: if the power fails now, nothing lives any more.
    this.#unsynced(() =>
      this.#attempt(() =>
        this.#execute("recordLeft", {
          jobId,
          left: toLeft(leftBehind),
          exitCode: end?.exitCode ?? null,
          signal: end?.signal ?? null,
        }),
      ),
    );
  }

  async recordHook(jobId: string, result: HookResult): Promise<void> {
    // Not synced: if the power fails now the hook runs again, which it must be able to bear.
    this.#unsynced(() => this.#attempt(() => this.#execute("recordHook", { jobId, ...result })));
  }

  async requestCancel(jobId: string, { at, reason, graceMs, pid }: CancelRequest): Promise<Job | undefined> {
    return this.#change("requestCancel", { jobId, at, reason, graceMs, pid });
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
      afterEnd: after?.endedAt ?? Number.MIN_SAFE_INTEGER,
      afterSeq: after?.position ?? 0,
    };
    return this.#select<CandidateRow>("finishedBefore", { before, limit, ...cursor }).map((row) => ({
      position: row.seq,
      jobId: row.job_id,
      runKey: row.run_key,
      attemptNo: row.attempt_no,
      status: row.status,
      endedAt: row.ended_at,
      hook: row.hook,
      hasInput: row.has_input === 1,
      hasPipes: row.has_pipes === 1,
      mayLive: row.may_live === 1,
    }));
  }

  async firstKept(runKeys: readonly string[], keep: number): Promise<ReadonlyMap<string, number>> {
    const rows = this.#select<{ run_key: string; attempt_no: number | null }>("firstKept", {
      runKeys: JSON.stringify(runKeys),
      keep,
    });
    return new Map(rows.flatMap((row) => (row.attempt_no === null ? [] : [[row.run_key, row.attempt_no]])));
  }

  async unknown(jobIds: readonly string[]): Promise<readonly string[]> {
    return this.#select<{ job_id: string }>("unknown", { jobIds: JSON.stringify(jobIds) }).map(
      (row) => row.job_id,
    );
  }

  async unclaimed(jobIds: readonly string[]): Promise<readonly string[]> {
    const rows = this.#select<{ job_id: string }>("unclaimed", { jobIds: JSON.stringify(jobIds) });
    const found: string[] = [];
    for (const row of rows) found.push(row.job_id);
    return found;
  }

  async remove(jobIds: readonly string[]): Promise<number> {
    this.#attempt(() => this.#database.run(`pragma cache_size = -${REMOVE_CACHE_KIB}`));
    return this.#unsynced(() =>
      this.#attempt(
        () => this.#database.query(textOf("remove")).run({ jobIds: JSON.stringify(jobIds) }).changes,
      ),
    );
  }

  async forgetRequests(): Promise<void> {
    this.#attempt(() => this.#execute("dropRequests", {}));
  }

  async discardOldCopy(): Promise<void> {
    const copy = Bun.file(this.#path + PYTHON_COPY_SUFFIX);
    if (await copy.exists()) await copy.delete();
  }

  async shrink(): Promise<void> {
    const pages = () =>
      this.#database.query<{ freelist_count: number }, []>("pragma freelist_count").get()!.freelist_count;
    this.#attempt(() => {
      // In steps, so that others get in between; it ends where a database cannot shrink (one of the Python orchesjob).
      for (let free = pages(), before = free + 1; free > 0 && free < before; before = free, free = pages()) {
        this.#database.query(`pragma incremental_vacuum(${SHRINK_PAGES})`).all();
      }
      this.#database.run("pragma wal_checkpoint(truncate)");
    });
  }

  async tidy(): Promise<void> {
    this.#attempt(() => dropTriggersOfThePast(this.#database));
    if (Bun.file(`${this.#path}-wal`).size < TIDY_WAL_BYTES) return;
    this.#attempt(() => this.#database.run("pragma wal_checkpoint(truncate)"));
  }

  rest(): void {
    this.close();
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** See #attempt. */
  get #database(): Database {
    return this.#connection!;
  }

  /** There is a connection afterwards, to the file that has the database's name. */
  #connect(): void {
    const open = this.#connection;
    if (open !== undefined) {
      if (open.inTransaction) return;
      const moved = new Int32Array(2);
      open.fileControl(HAS_MOVED, moved);
      if (moved[0] === 0) return;
      // Somebody has put another database there, an older one perhaps: what is written to the file of before nobody reads.
      this.close();
    }
    this.#connection = this.#reopen();
    if (this.#connection === undefined)
      throw new OrchesjobError("conflict", `${this.#path} is gone; put it back, and try again`);
  }

  /** Every verb works in here: with the connection that is right at that moment. */
  #attempt<T>(work: () => T): T {
    this.#connect();
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

  /** Returns how many rows changed. */
  #execute(query: Query, bindings: Bindings): number {
    return this.#database.query<unknown, SQLQueryBindings>(textOf(query)).run(bindings).changes;
  }

  #row(query: Query, bindings: Bindings): JobRow | undefined {
    return this.#database.query<JobRow, SQLQueryBindings>(textOf(query)).get(bindings) ?? undefined;
  }

  #one(query: Query, bindings: Bindings): Job | undefined {
    const row = this.#attempt(() => this.#row(query, bindings));
    return row === undefined ? undefined : toJob(row);
  }

  /** A change is stepped to its end, so that a commit that fails is reported: `get` would stop at the first row. */
  #change(query: Query, bindings: Bindings): Job | undefined {
    const row = this.#all(query, bindings)[0];
    return row === undefined ? undefined : toJob(row);
  }

  #all(query: Query, bindings: Bindings): JobRow[] {
    return this.#select<JobRow>(query, bindings);
  }

  #select<Row>(query: Query, bindings: Bindings): Row[] {
    return this.#attempt(() => this.#database.query<Row, SQLQueryBindings>(textOf(query)).all(bindings));
  }
}
