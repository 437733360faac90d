/** What the registry of a fleet has yet to hear, in SQLite: triggers count the changes of each job in table `publications`. */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import { ACTIVE } from "../../job/status.ts";
import type { Heard, Publication, Publications } from "../publications.ts";
import { transact } from "./connection.ts";
import { quote } from "./queries.ts";
import { type JobRow, toJob } from "./rows.ts";

type Attempt = <T>(work: (database: Database) => T) => T;

interface PublicationRow extends JobRow {
  readonly change: number;
  /** JSON array. */
  readonly request_ids: string;
  readonly strict: number;
}

/** Outside of a fleet there is no such table: every process that opens the database would have to read its text. */
const TABLE = `create table if not exists publications (
    job_id text primary key,
    change integer not null,    -- counts the changes of the job
    published integer not null  -- the count that the registry has
  ) strict, without rowid;
  create index if not exists unpublished on publications (job_id) where change > published`;

const COUNT = "on conflict do update set change = change + 1";
const TRIGGERS: Readonly<Record<string, string>> = {
  fleet_insert: `after insert on job_records begin
    insert into publications (job_id, change, published) values (new.job_id, 1, 0) ${COUNT}; end`,
  fleet_update: `after update on job_records begin
    insert into publications (job_id, change, published) values (new.job_id, 1, 0) ${COUNT}; end`,
  fleet_delete: `after delete on job_records begin delete from publications where job_id = old.job_id; end`,
  // A launcher that does not know of the fleet must not start anything.
  fleet_only: `before insert on job_records when new.on_partition is null and new.status = 'STARTING' begin
    select raise(abort, 'in a fleet'); end`,
};

const SELECT = `select job_records.*, coalesce(publications.change, 0) as change,
    (select json_group_array(request_id) from requests where requests.job_id = job_records.job_id) as request_ids,
    exists (select 1 from strict_runs where strict_runs.job_id = job_records.job_id) as strict`;

/** An attempt that follows another one, and that the registry has yet to accept. */
const IS_UNACCEPTED = "fencing_token is null";

export class SqlitePublications implements Publications {
  constructor(readonly attempt: Attempt) {}

  async track(memberId?: string): Promise<void> {
    // Without a transaction: it is asked with every start.
    if (memberId === undefined && (await this.isTracking())) return;
    this.attempt((database) =>
      transact(database, () => {
        if (memberId !== undefined) {
          database.run("create table if not exists fleet_member (member_id text not null) strict");
          database.run("delete from fleet_member");
          database.query("insert into fleet_member values ($memberId)").run({ memberId });
        }
        if (this.#isTracking(database)) return;
        database.run(TABLE);
        for (const [name, text] of Object.entries(TRIGGERS))
          database.run(`create trigger if not exists ${name} ${text}`);
        database.run(
          "insert into publications select job_id, 1, 0 from job_records where true on conflict do update set change = change + 1",
        );
      }),
    );
  }

  async memberId(): Promise<string | undefined> {
    return this.attempt((database) => {
      const isThere =
        database.query("select 1 from sqlite_schema where name = 'fleet_member'").get() !== null;
      if (!isThere) return undefined;
      return database.query<{ member_id: string }, []>("select member_id from fleet_member").get()?.member_id;
    });
  }

  async isTracking(): Promise<boolean> {
    return this.attempt((database) => this.#isTracking(database));
  }

  #isTracking(database: Database): boolean {
    const names = ["publications", ...Object.keys(TRIGGERS)];
    const statement = `select count(*) as count from sqlite_schema where name in (${quote(names)})`;
    return database.query<{ count: number }, []>(statement).get()!.count === names.length;
  }

  async ignore(): Promise<void> {
    this.attempt((database) =>
      transact(database, () => {
        for (const name of Object.keys(TRIGGERS)) database.run(`drop trigger if exists ${name}`);
        database.run("drop table if exists publications");
        database.run("drop table if exists fleet_member");
      }),
    );
  }

  async next(limit: number): Promise<readonly Publication[]> {
    return this.#read(
      `${SELECT} from publications join job_records using (job_id) where change > published
        and not (${IS_UNACCEPTED} and coalesce(retry ->> 'ofJobId', '') in (select job_id from publications where change > published))
        order by status not in (${quote(ACTIVE)}), publications.job_id limit $limit`,
      { limit },
    );
  }

  async pending(jobId: string): Promise<Publication | undefined> {
    const [found] = this.#read(
      `${SELECT} from publications join job_records using (job_id) where job_id = $jobId and change > published`,
      {
        jobId,
      },
    );
    return found;
  }

  async oldest(): Promise<Publication | undefined> {
    // Job ids begin with the time of the start, and the index has them in this order.
    const [found] = this.#read(
      `${SELECT} from publications join job_records using (job_id) where change > published
        order by publications.job_id limit 1`,
      {},
    );
    return found;
  }

  #read(statement: string, bindings: Record<string, string | number>): readonly Publication[] {
    return this.attempt((database) =>
      database.query<PublicationRow, SQLQueryBindings>(statement).all(bindings),
    ).map((row) => {
      const job = toJob(row);
      return {
        job,
        change: row.change,
        requestIds: JSON.parse(row.request_ids) as string[],
        strict: row.strict === 1,
        successor: this.#successor(job.retry?.nextJobId ?? null),
      };
    });
  }

  #successor(jobId: string | null): Publication | null {
    if (jobId === null) return null;
    const [found = null] = this.#read(
      `${SELECT} from publications join job_records using (job_id) where job_id = $jobId and ${IS_UNACCEPTED}`,
      { jobId },
    );
    return found;
  }

  async count(): Promise<number> {
    const statement = "select count(*) as count from publications where change > published";
    return this.attempt((database) => database.query<{ count: number }, []>(statement).get()!.count);
  }

  async markPublished(published: readonly Heard[]): Promise<void> {
    // Not synced: if the power fails now, they are published once more.
    this.attempt((database) => database.run("pragma synchronous = normal"));
    this.attempt((database) =>
      transact(database, () => {
        const statement = database.query<unknown, SQLQueryBindings>(
          "update publications set published = max(published, $change) where job_id = $jobId",
        );
        const accept = database.query<unknown, SQLQueryBindings>(
          `update job_records set fencing_token = $token where job_id = $jobId and ${IS_UNACCEPTED}`,
        );
        for (const { job, change, successor, grantedToken } of published) {
          statement.run({ jobId: job.jobId, change });
          if (successor === null) continue;
          statement.run({ jobId: successor.job.jobId, change: successor.change });
          if (grantedToken !== null) accept.run({ jobId: successor.job.jobId, token: grantedToken });
        }
      }),
    );
    this.attempt((database) => database.run("pragma synchronous = full"));
  }

  async repeatAll(): Promise<void> {
    this.attempt((database) => database.run("update publications set published = 0"));
  }

  async repeat(jobId: string, known = 0): Promise<void> {
    const statement = `update publications set published = 0, change = iif(change > $known, change, $known + 1)
      where job_id = $jobId`;
    this.attempt((database) => database.query(statement).run({ jobId, known }));
  }

  async lastToken(): Promise<number> {
    const statement = "select coalesce(max(fencing_token), 0) as token from job_records";
    return this.attempt((database) => database.query<{ token: number }, []>(statement).get()!.token);
  }
}
