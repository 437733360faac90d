/** The verbs of the store that only read. They need no transaction. */
import type { SQLQueryBindings } from "bun:sqlite";
import type { Instant, Job } from "../../job/job.ts";
import { isActive } from "../../job/status.ts";
import type { Override, RequestedJob, Strictness } from "../keys.ts";
import type { Figures } from "../figures.ts";
import type { Publications } from "../publications.ts";
import type {
  CleanCandidate,
  FinishedFilter,
  ListFilter,
  Size,
  Statistics,
  StatisticsRequest,
} from "../store.ts";
import { Conditions } from "./conditions.ts";
import { ENDED_AT, IN_ORDER_OF_END, IS_ACTIVE, IS_FINISHED, textOf } from "./queries.ts";
import { type CandidateRow, type JobRow, toJob, toJobs } from "./rows.ts";
import { Session } from "./session.ts";

/** Returns a text that sorts after every text with the prefix. */
function endOf(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}

export abstract class JobReader extends Session {
  async findRequest(runKey: string, requestId: string): Promise<RequestedJob | undefined> {
    const row = this.attempt(() => this.row("findRequest", { runKey, requestId })) as
      (JobRow & { readonly requested_command: string | null }) | undefined;
    if (row === undefined) return undefined;
    const { requested_command: command } = row;
    return { job: toJob(row), command: command === null ? null : (JSON.parse(command) as string[]) };
  }

  async strictness(runKey: string, at: Instant): Promise<Strictness> {
    return this.attempt(() => ({
      strictJobId: this.database
        .query<{ job_id: string }, SQLQueryBindings>(textOf("strictJobId"))
        .get({ runKey })?.job_id,
      override:
        this.database.query<Override, SQLQueryBindings>(textOf("override")).get({ runKey, at }) ?? undefined,
    }));
  }

  async find(jobId: string): Promise<Job | undefined> {
    return this.one("find", { jobId });
  }

  async latest(runKey: string): Promise<Job | undefined> {
    return this.one("latest", { runKey });
  }

  async history(runKey: string): Promise<readonly Job[]> {
    return toJobs(this.all("history", { runKey }));
  }

  async numbered(runKey: string, attemptNo: number): Promise<Job | undefined> {
    return this.one("numbered", { runKey, attemptNo });
  }

  async active(): Promise<readonly Job[]> {
    // Usually there is none, and a statement for whole rows takes 140,000 more instructions to prepare.
    if (this.attempt(() => this.row("anyActive", {})) === undefined) return [];
    return toJobs(this.all("active", {}).sort((a, b) => a.seq - b.seq));
  }

  async list(filter: ListFilter): Promise<readonly Job[]> {
    return toJobs(this.#rows(filter, filter.limit));
  }

  async *pages(filter: ListFilter, size: number): AsyncIterable<readonly Job[]> {
    let before: number | undefined;
    for (let left = filter.limit; left > 0;) {
      const rows = this.#rows(filter, Math.min(size, left), before);
      if (rows.length === 0) return;
      yield toJobs(rows);
      left -= rows.length;
      before = rows.at(-1)!.seq;
    }
  }

  /** `before`: only jobs that were accepted before this one. */
  #rows(filter: ListFilter, limit: number, before = filter.before): readonly JobRow[] {
    const { runKeyPrefix: prefix, since, until, order } = filter;
    const conditions = new Conditions();
    conditions.require(filter);
    if (prefix !== "")
      conditions.add("run_key >= $prefix and run_key < $prefixEnd", { prefix, prefixEnd: endOf(prefix) });
    if (filter.newestOnly === true)
      conditions.add(
        "attempt_no = (select max(attempt_no) from job_records as others where others.run_key = job_records.run_key)",
      );
    if (filter.runKey !== undefined) conditions.add("run_key = +$runKey", { runKey: filter.runKey });
    if (since !== undefined) conditions.add("started_at >= $since", { since });
    if (until !== undefined) conditions.add("started_at < $until", { until });
    if (before !== undefined) conditions.add("seq < $before", { before });
    // In the words of the index that has this order, or these few jobs.
    const areActive = filter.statuses.length > 0 && filter.statuses.every(isActive);
    if (order === "ended") conditions.add(IS_FINISHED);
    else if (areActive) conditions.add(IS_ACTIVE);
    const { texts } = conditions;
    const where = texts.length > 0 ? `where ${texts.join(" and ")}` : "";
    // The plus keeps SQLite from reading all jobs because they have this order.
    const accepted = filter.runKey !== undefined ? "attempt_no desc" : areActive ? "+seq desc" : "seq desc";
    const newest = order === "ended" ? `${ENDED_AT} desc, seq desc` : accepted;
    const statement = `select * from job_records ${where} order by ${newest} limit $limit`;
    const bindings = { ...conditions.bindings, limit };
    return this.attempt(() => this.database.query<JobRow, SQLQueryBindings>(statement).all(bindings));
  }

  async newestOfKeys(prefix: string, limit: number): Promise<readonly Job[]> {
    return toJobs(this.all("newestOfKeys", { prefix, prefixEnd: endOf(prefix), limit }));
  }

  async jobsById(prefix: string, limit: number): Promise<readonly Job[]> {
    return toJobs(this.all("jobIds", { prefix, prefixEnd: endOf(prefix), limit }));
  }

  async publications(): Promise<Publications> {
    const { SqlitePublications } = await import("./publications.ts");
    return new SqlitePublications((work) => this.attempt(() => work(this.database)));
  }

  async statistics(request: StatisticsRequest): Promise<Statistics> {
    const { readStatistics } = await this.more!.statistics();
    return this.attempt(() => readStatistics(this.database, request));
  }

  async figures(): Promise<Figures> {
    const { SqliteFigures } = await this.more!.figures();
    return new SqliteFigures((work) => this.attempt(() => work(this.database)));
  }

  async size(): Promise<Size> {
    return { bytes: Bun.file(this.path).size, pendingBytes: Bun.file(`${this.path}-wal`).size };
  }

  async unknown(jobIds: readonly string[]): Promise<readonly string[]> {
    return this.select<{ job_id: string }>("unknown", { jobIds: JSON.stringify(jobIds) }).map(
      (row) => row.job_id,
    );
  }

  async unclaimed(jobIds: readonly string[]): Promise<readonly string[]> {
    const rows = this.select<{ job_id: string }>("unclaimed", { jobIds: JSON.stringify(jobIds) });
    const found: string[] = [];
    for (const row of rows) found.push(row.job_id);
    return found;
  }

  async finishedBefore(
    before: Instant,
    limit: number,
    after?: CleanCandidate,
    filter?: FinishedFilter,
  ): Promise<readonly CleanCandidate[]> {
    const cursor = {
      afterEnd: after?.endedAt ?? Number.MIN_SAFE_INTEGER,
      afterSeq: after?.position ?? 0,
    };
    const conditions = new Conditions();
    if (filter !== undefined) conditions.requireFinished(filter);
    const statement = [textOf("finishedBefore"), ...conditions.texts].join(" and ");
    const bindings = { ...conditions.bindings, before, limit, ...cursor };
    const rows = this.attempt(() =>
      this.database.query<CandidateRow, SQLQueryBindings>(`${statement} ${IN_ORDER_OF_END}`).all(bindings),
    );
    return rows.map((row) => ({
      position: row.seq,
      jobId: row.job_id,
      runKey: row.run_key,
      attemptNo: row.attempt_no,
      status: row.status,
      endedAt: row.ended_at,
      hook: row.hook,
      hasInput: row.has_input === 1,
      hasPipes: row.has_pipes === 1,
      hasStallLog: row.has_stall_log === 1,
      mayLive: row.may_live === 1,
    }));
  }

  async firstKept(runKeys: readonly string[], keep: number): Promise<ReadonlyMap<string, number>> {
    const rows = this.select<{ run_key: string; attempt_no: number | null }>("firstKept", {
      runKeys: JSON.stringify(runKeys),
      keep,
    });
    return new Map(rows.flatMap((row) => (row.attempt_no === null ? [] : [[row.run_key, row.attempt_no]])));
  }
}
