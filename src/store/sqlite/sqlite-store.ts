/** The verbs of the store, on SQLite: those that change jobs and keys. Every change is one transaction. */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import {
  acceptedJob,
  type CancelRequest,
  type HookResult,
  type Instant,
  type Job,
  type LostReason,
  type NewJob,
  type OrphanEnd,
  type Outcome,
  type ProcessIdentity,
} from "../../job/job.ts";
import type { EndHook } from "../../job/hook.ts";
import { leastToken } from "../../job/fleet.ts";
import { isActive } from "../../job/status.ts";
import type { ClaimTerms } from "../keys.ts";
import type { JobStore } from "../store.ts";
import { openDatabase, type OpenOptions } from "./connection.ts";
import { type Reporter, upgradePython } from "./legacy/python-upgrade.ts";
import { insertStatement, IS_TRACKING, textOf, withGrowingToken } from "./queries.ts";
import { toLeft } from "./json-columns.ts";
import { type JobRow, toColumns, toJob } from "./rows.ts";
import type { Bindings, MoreStatements } from "./session.ts";
import { toUsageColumns } from "./usage.ts";
import { JobUpkeep } from "./upkeep.ts";

/** Opens the store in a database file; undefined if there is none and `create` is false. */
export function openSqliteStore(
  path: string,
  options: Pick<OpenOptions, "create" | "busyTimeoutMs" | "acceptNewer" | "upgrades"> & Reporter,
  more?: MoreStatements,
): JobStore | undefined {
  const { create, busyTimeoutMs, acceptNewer, upgrades = true } = options;
  const upgrade = (database: Database) => upgradePython(database, path, options);
  const database = openDatabase(path, { create, busyTimeoutMs, acceptNewer, upgrades, upgrade });
  if (database === undefined) return undefined;
  // A newer version may have migrated it meanwhile. A process that was there before accepts that.
  const again = { create: false, busyTimeoutMs, acceptNewer: true, upgrades, upgrade };
  return new SqliteStore(database, path, busyTimeoutMs, () => openDatabase(path, again), more);
}

/** What matters of a run key's jobs for one that is put among them. */
interface Place {
  readonly highest: number | null;
  readonly taken: number;
  readonly active: number;
}

export class SqliteStore extends JobUpkeep implements JobStore {
  async claim(job: NewJob, terms: ClaimTerms, at: Instant): Promise<Job | undefined> {
    return this.transact(() => {
      const { jobId, runKey } = job;
      const latest = this.row("latest", { runKey });
      if (latest?.job_id !== terms.expected || (latest !== undefined && isActive(latest.status)))
        return undefined;
      if (job.requestId !== null && this.row("findRequest", { runKey, requestId: job.requestId }))
        return undefined;
      if (terms.useOverride && this.execute("useOverride", { runKey, at }) === 0) return undefined;
      const { fencingToken } = terms;
      const accepted =
        fencingToken === undefined
          ? this.#insert(acceptedJob({ ...job, onPartition: null }, at, leastToken(at)), true)
          : this.#insert(acceptedJob(job, at, fencingToken));
      if (job.requestId !== null) this.execute("bindNewRequest", { runKey, requestId: job.requestId, jobId });
      if (terms.strict) this.execute("rememberStrict", { runKey, jobId });
      return toJob(accepted);
    });
  }

  async adopt(job: Job): Promise<Job | undefined> {
    const { jobId, runKey, origin, worker } = job;
    if (origin === null || worker === null) return undefined;
    return this.transact(() => {
      const known = this.row("find", { jobId });
      if (known !== undefined) return toJob(known);
      const place = this.database
        .query<Place, SQLQueryBindings>(textOf("place"))
        .get({ runKey, attemptNo: job.attemptNo })!;
      const next = (place.highest ?? 0) + 1;
      if (isActive(job.status) && place.active > 0) return undefined;
      // The active job of a key must be its newest: that is where others look for it.
      const attemptNo = isActive(job.status)
        ? Math.max(job.attemptNo, next)
        : place.taken > 0
          ? next
          : job.attemptNo;
      const row = this.#insert({ ...job, attemptNo });
      const { requestId } = job;
      if (requestId !== null) this.execute("bindRequest", { runKey, requestId, jobId, command: null });
      return toJob(row);
    });
  }

  /** Call it inside a transaction. */
  #insert(job: Job, raisesToken = false): JobRow {
    const columns: Bindings = toColumns(job);
    const statement = insertStatement(columns);
    const made = raisesToken ? withGrowingToken(statement) : statement;
    return this.database.query<JobRow, SQLQueryBindings>(made).get(columns)!;
  }

  async bindRequest(
    runKey: string,
    requestId: string,
    jobId: string,
    command: readonly string[],
  ): Promise<void> {
    const bindings = { runKey, requestId, jobId, command: JSON.stringify(command) };
    this.attempt(() => this.execute("bindRequest", bindings));
  }

  async unlock(runKey: string, reason: string | null, at: Instant, expiresAt: Instant | null): Promise<void> {
    this.attempt(() => this.execute("unlock", { runKey, reason, at, expiresAt }));
  }

  async run(
    jobId: string,
    worker: ProcessIdentity,
    { origin, unit }: Pick<Job, "unit"> & Pick<NewJob, "origin">,
    at: Instant,
    startedAt: Instant | null = at,
  ): Promise<Job | undefined> {
    // Not synced: if the power fails now, the job is lost in any case, and its acceptance was synced before.
    return this.unsynced(() =>
      this.change("run", {
        jobId,
        pid: worker.pid,
        start: worker.startTicks,
        ...origin,
        unit,
        at,
        startedAt,
      }),
    );
  }

  async recordTarget(jobId: string, target: ProcessIdentity, at: Instant): Promise<boolean> {
    const { pid, startTicks: start, inode } = target;
    const bindings = { jobId, pid, start, inode: inode || null, at };
    return this.unsynced(() => this.attempt(() => this.execute("recordTarget", bindings))) > 0;
  }

  async finish(
    jobId: string,
    event: "succeed" | "fail" | "cancel",
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
    leftBehind: readonly ProcessIdentity[] | null = null,
  ): Promise<Job | undefined> {
    return this.change(event, { jobId, at, ...toEnd(outcome, target, leftBehind) });
  }

  async retry(
    jobId: string,
    outcome: Outcome,
    target: ProcessIdentity | null,
    at: Instant,
    leftBehind: readonly ProcessIdentity[] | null,
    next: NewJob & Partial<Pick<Job, "fencingToken">>,
    acceptedAt: Instant,
  ): Promise<Job | undefined> {
    return this.transact(() => {
      const isInFleet = next.onPartition !== null;
      // The directory has joined a fleet since the run began.
      if (!isInFleet && this.database.query(IS_TRACKING).get() !== null) return undefined;
      const end = { jobId, at, next: next.jobId, ...toEnd(outcome, target, leftBehind) };
      const failed = this.row("failAndRetry", end);
      if (failed === undefined) return undefined;
      const { run_key: runKey, attempt_no: attemptNo } = failed;
      const token = isInFleet ? (next.fencingToken ?? null) : leastToken(acceptedAt);
      const job = acceptedJob({ ...next, attemptNo: attemptNo + 1 }, acceptedAt, token);
      const accepted = this.#insert(job, !isInFleet);
      const moved = { runKey, jobId, next: next.jobId };
      this.execute("moveRequests", moved);
      this.execute("moveStrict", moved);
      return toJob(accepted);
    });
  }

  async recordLeft(
    jobId: string,
    leftBehind: readonly ProcessIdentity[],
    end: Pick<Outcome, "exitCode" | "signal"> | null,
  ): Promise<void> {
    // Not synced: if the power fails now, no survivor lives any more.
    this.unsynced(() =>
      this.attempt(() =>
        this.execute("recordLeft", {
          jobId,
          left: toLeft(leftBehind),
          exitCode: end?.exitCode ?? null,
          signal: end?.signal ?? null,
        }),
      ),
    );
  }

  async recordOrphanEnd(jobId: string, { at, exitCode, signal }: OrphanEnd): Promise<void> {
    // Not synced: if the power fails now, only this is not known.
    this.unsynced(() => this.attempt(() => this.execute("recordOrphanEnd", { jobId, at, exitCode, signal })));
  }

  async recordHook(jobId: string, kind: EndHook, result: HookResult): Promise<void> {
    // Not synced: if the power fails now, the hook runs again, which hooks must tolerate.
    this.unsynced(() =>
      this.attempt(() =>
        kind === "exit"
          ? this.execute("recordExitHook", { jobId, ...result })
          : this.execute("recordFailureHook", { jobId, result: JSON.stringify(result) }),
      ),
    );
  }

  async recordStall(jobId: string, since: Instant | null, at: Instant): Promise<void> {
    this.attempt(() => this.execute("recordStall", { jobId, since, at }));
  }

  async recordLogLimit(jobId: string, bytes: number | null, at: Instant): Promise<void> {
    this.attempt(() => this.execute("recordLogLimit", { jobId, bytes, at }));
  }

  async requestCancel(jobId: string, { at, reason, graceMs, pid }: CancelRequest): Promise<Job | undefined> {
    return this.change("requestCancel", { jobId, at, reason, graceMs, pid });
  }

  async lose(jobId: string, reason: LostReason, at: Instant): Promise<Job | undefined> {
    return this.change("lose", { jobId, reason, at });
  }
}

function toEnd(
  outcome: Outcome,
  target: ProcessIdentity | null,
  leftBehind: readonly ProcessIdentity[] | null,
): Bindings {
  const { usage, ...ended } = outcome;
  return {
    ...ended,
    ...toUsageColumns(usage),
    pid: target?.pid ?? null,
    start: target?.startTicks ?? null,
    inode: target?.inode || null,
    left: toLeft(leftBehind),
  };
}
