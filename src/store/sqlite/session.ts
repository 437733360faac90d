/** Keeps one connection to the database as long as it is the right one, and executes statements on it. */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { isAlone, transact } from "./connection.ts";
import { translateErrors } from "./errors.ts";
import { type Query, textOf } from "./queries.ts";
import { type JobRow, toJob } from "./rows.ts";

/** SQLITE_FCNTL_HAS_MOVED: whether the database's name now belongs to another file, or to none. */
const HAS_MOVED = 20;

/**
 * Loads statements that few commands need. Whoever opens the store gives it, so that a bundle without those commands has none
 * of them. Without it, the verbs `statistics` and `figures` must not be called.
 */
export interface MoreStatements {
  statistics(): Promise<typeof import("./statistics.ts")>;
  figures(): Promise<typeof import("./figures.ts")>;
}

export type Bindings = Record<string, string | number | null>;

export abstract class Session {
  /** Undefined while closed. */
  #connection: Database | undefined;
  protected readonly path: string;
  readonly #busyTimeoutMs: number;
  readonly #reopen: () => Database | undefined;
  protected readonly more: MoreStatements | undefined;

  constructor(
    connection: Database,
    path: string,
    busyTimeoutMs: number,
    reopen: () => Database | undefined,
    more: MoreStatements | undefined,
  ) {
    this.#connection = connection;
    this.path = path;
    this.#busyTimeoutMs = busyTimeoutMs;
    this.#reopen = reopen;
    this.more = more;
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** Use it inside `attempt` only. */
  protected get database(): Database {
    return this.#connection!;
  }

  /** Ensures that there is a connection, to the file that now has the database's name. */
  #connect(): void {
    const open = this.#connection;
    if (open !== undefined) {
      if (open.inTransaction) return;
      const moved = new Int32Array(2);
      open.fileControl(HAS_MOVED, moved);
      if (moved[0] === 0) return;
      // Somebody has put another database there, perhaps an older one: nobody would read what we write to the former file.
      this.close();
    }
    this.#connection = this.#reopen();
    if (this.#connection === undefined)
      throw new OrchesjobError("conflict", `${this.path} is gone`, "put it back and try again");
  }

  /** Runs the work of a verb, with the connection that is right at that moment. Throws OrchesjobError. */
  protected attempt<T>(work: () => T): T {
    this.#connect();
    const connection = this.#connection!;
    // Others get in between two verbs.
    const closes = isAlone(connection) && !connection.inTransaction;
    try {
      return translateErrors(this.path, this.#busyTimeoutMs, work);
    } finally {
      if (closes) this.close();
    }
  }

  protected transact<T>(body: () => T): T {
    return this.attempt(() => transact(this.database, body));
  }

  protected unsynced<T>(work: () => T): T {
    // A pragma may have to read the schema, so it can fail like any statement.
    this.attempt(() => this.database.run("pragma synchronous = normal"));
    try {
      return work();
    } finally {
      this.attempt(() => this.database.run("pragma synchronous = full"));
    }
  }

  /** Returns how many rows changed. */
  protected execute(query: Query, bindings: Bindings): number {
    return this.database.query<unknown, SQLQueryBindings>(textOf(query)).run(bindings).changes;
  }

  protected row(query: Query, bindings: Bindings): JobRow | undefined {
    return this.database.query<JobRow, SQLQueryBindings>(textOf(query)).get(bindings) ?? undefined;
  }

  protected one(query: Query, bindings: Bindings): Job | undefined {
    const row = this.attempt(() => this.row(query, bindings));
    return row === undefined ? undefined : toJob(row);
  }

  /** Steps the statement to its end, so that a failed commit is reported: `get` would stop at the first row. */
  protected change(query: Query, bindings: Bindings): Job | undefined {
    const row = this.all(query, bindings)[0];
    return row === undefined ? undefined : toJob(row);
  }

  protected all(query: Query, bindings: Bindings): JobRow[] {
    return this.select<JobRow>(query, bindings);
  }

  protected select<Row>(query: Query, bindings: Bindings): Row[] {
    return this.attempt(() => this.database.query<Row, SQLQueryBindings>(textOf(query)).all(bindings));
  }
}
