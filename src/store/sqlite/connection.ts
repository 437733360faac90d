/** Opening the database: the checks before anything is trusted, the schema, and SQLite's errors in our words. */
import { Database, SQLiteError } from "bun:sqlite";
import { DiskFullError, OrchesjobError } from "../../job/errors.ts";
import jobs from "./migrations/0001-jobs.sql" with { type: "text" };
import units from "./migrations/0002-units.sql" with { type: "text" };
import hooks from "./migrations/0003-hooks.sql" with { type: "text" };
import witness from "./migrations/0004-witness.sql" with { type: "text" };
import output from "./migrations/0005-output.sql" with { type: "text" };
import records from "./migrations/0006-records.sql" with { type: "text" };
import { acceptOlder, makePublicViews } from "./public-views.ts";

/** `pragma application_id` of our databases: "ojob". */
const APPLICATION_ID = 0x6f6a6f62;

/**
 * The schema's history; `pragma user_version` counts how much of it a database has. A migration only adds to what older
 * versions see (columns with a default, tables, indexes; see public-views.ts), because their workers may still run and write.
 */
const MIGRATIONS: readonly string[] = [jobs, units, hooks, witness, output, records];
export const SCHEMA_VERSION = MIGRATIONS.length;

export interface OpenOptions {
  readonly create: boolean;
  /** How long to wait while another process is in the way, in ms. */
  readonly patienceMs: number;
  /** Go on where a newer version has migrated the database: for a worker, which was there before, and has a result to tell. */
  readonly acceptNewer: boolean;
  /** False: a database of an older version is left as it is, as if there were none. Default: true. */
  readonly upgrades?: boolean;
  /** Turns the tables of the Python orchesjob into ours. */
  readonly upgrade: (database: Database) => void;
}

/** Opens the database; undefined where there is none yet and `create` is false. */
export function openDatabase(path: string, options: OpenOptions): Database | undefined {
  return translateErrors(path, options.patienceMs, () => {
    const database = openFile(path, options.create);
    if (database === undefined) return undefined;
    database.run(`pragma busy_timeout = ${options.patienceMs}`);
    if (!prepareSchema(database, path, options)) {
      database.close();
      return undefined;
    }
    database.run("pragma synchronous = full");
    return database;
  });
}

function openFile(path: string, create: boolean): Database | undefined {
  const open = () => new Database(path, { readwrite: true, create, strict: true });
  try {
    return open();
  } catch (error) {
    if (create || !isError(error, "SQLITE_CANTOPEN")) throw error;
    // The file is looked for only now, after SQLite did not find it: the common case pays nothing. If it is there, another
    // process has just made it.
    return Bun.file(path).size ? open() : undefined;
  }
}

/** True where the schema is ours now. Whatever is not ours is left as it is. */
function prepareSchema(database: Database, path: string, options: OpenOptions): boolean {
  const { create, acceptNewer, upgrades = true, upgrade } = options;
  const version = readVersion(database);
  if (version === SCHEMA_VERSION) return true;
  if (version < SCHEMA_VERSION && !upgrades) return false;
  if (version > SCHEMA_VERSION) {
    if (!isOurs(database)) throw notOurs(path);
    if (acceptNewer) return true;
    throw new OrchesjobError("conflict", describeNewer(path, version));
  }
  if (version > 0) {
    if (!isOurs(database)) throw notOurs(path);
    transact(database, () => {
      // Not where another process has just migrated it: table jobs is a view then.
      if (readVersion(database) < SCHEMA_VERSION && findRebuilt(database) !== undefined) throw rebuilt(path);
      migrate(database);
    });
    return true;
  }
  const tables = database
    .query<{ name: string }, []>("select name from sqlite_schema where type = 'table'")
    .all();
  if (isPython(database)) {
    upgrade(database);
    return true;
  }
  if (tables.length > 0) throw notOurs(path);
  if (!create) return false;
  // Has an effect only before the first table: space that clean frees can be given back (see shrink).
  database.run("pragma auto_vacuum = incremental");
  database.run("pragma journal_mode = wal");
  transact(database, () => migrate(database));
  return true;
}

/** Brings the schema up to date, or leaves it where another process has been first. Runs inside a transaction. */
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
 * A database of ours, of a schema in which `jobs` was a table, may have been taken for its own by the Python orchesjob 1.1,
 * which makes a table of its own columns, copies them, drops ours, and renames. Returns the table that the jobs are in now;
 * undefined where nothing of it has happened.
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
    `${path} was changed by the Python orchesjob 1.1, which was called on this directory and has rebuilt the table of jobs as its own; leave it where it is, remove that call, and run: orchesjob doctor --fix (it keeps a copy, and puts the history back from what is left)`,
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

/** Whether the database says of itself that it is orchesjob's, not the Python one. */
export function isOurs(database: Database): boolean {
  const row = database.query<{ application_id: number }, []>("pragma application_id").get()!;
  return row.application_id === APPLICATION_ID;
}

export function describeNewer(path: string, version: number): string {
  return `${path} has schema ${version}, and this orchesjob knows ${SCHEMA_VERSION}: it was written by a newer version; use that one`;
}

export function readVersion(database: Database): number {
  return database.query<{ user_version: number }, []>("pragma user_version").get()!.user_version;
}

export function notOurs(path: string, why = ""): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${path} is not a database of orchesjob${why}; move it away, or set ORCHESJOB_HOME to another directory`,
  );
}

/** One immediate transaction: taken at once, so that what is read in it is still true when it is written. */
export function transact<T>(database: Database, body: () => T): T {
  database.run("begin immediate");
  let result: T;
  try {
    result = body();
    database.run("commit");
  } catch (error) {
    if (database.inTransaction) database.run("rollback");
    throw error;
  }
  return result;
}

export function isError(error: unknown, ...codes: string[]): boolean {
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(code));
}

const PAUSE_MS = 20;

/**
 * Runs a piece of database work. Where another process is in the way it is tried again until the patience (ms) is over
 * (SQLite's own busy_timeout does not cover every case, recovery for one); then, and for every other failure of
 * SQLite, an OrchesjobError is thrown.
 */
export function translateErrors<T>(path: string, patienceMs: number, work: () => T): T {
  // Not performance.now(): its first call takes 50,000 instructions.
  const deadline = Bun.nanoseconds() + patienceMs * 1_000_000;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SQLiteError)) throw error;
      if (isError(error, "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL") && Bun.nanoseconds() < deadline) {
        Bun.sleepSync(PAUSE_MS);
        continue;
      }
      throw translate(path, patienceMs, error);
    }
  }
}

function translate(path: string, patienceMs: number, error: SQLiteError): OrchesjobError {
  if (isError(error, "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")) {
    return new OrchesjobError(
      "locked",
      `${path} is locked by another process for more than ${patienceMs / 1000} s; try again, or see who has it open: fuser -v ${path}`,
    );
  }
  if (isError(error, "SQLITE_CORRUPT", "SQLITE_NOTADB")) {
    return new OrchesjobError(
      "conflict",
      `${path} is damaged (${error.message}); nothing was changed. Move it away and start anew, or restore a backup: docs/troubleshooting.md`,
    );
  }
  if (isError(error, "SQLITE_FULL"))
    return new DiskFullError(`cannot write ${path}: the disk is full; free some space and try again`);
  if (isError(error, "SQLITE_READONLY")) {
    return new OrchesjobError(
      "general",
      `cannot write ${path}: it is read-only; check the file's mode and the mount`,
    );
  }
  if (isError(error, "SQLITE_CANTOPEN")) {
    return new OrchesjobError(
      "general",
      `cannot open ${path}; check that it and its directory can be read and written by you`,
    );
  }
  if (isError(error, "SQLITE_IOERR_SHM"))
    return new OrchesjobError(
      "general",
      `cannot use ${path}: its file system has no shared memory (mmap); set ORCHESJOB_HOME to a directory on a local disk`,
    );
  if (isError(error, "SQLITE_IOERR"))
    return new OrchesjobError(
      "general",
      `cannot read or write ${path}: ${error.message}; check the disk (dmesg), and the limit of file sizes (ulimit -f)`,
    );
  return notOurs(path, ` (${error.message})`);
}
