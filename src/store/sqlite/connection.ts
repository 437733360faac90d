/** Opens the database: checks whose it is, and brings its schema up to date. */
import { Database } from "bun:sqlite";
import { isError, notOurs, translateErrors } from "./errors.ts";
import {
  findRebuilt,
  isOurs,
  isPython,
  migrate,
  newerError,
  readVersion,
  rebuilt,
  SCHEMA_VERSION,
} from "./schema.ts";

export interface OpenOptions {
  readonly create: boolean;
  /** How long to wait while another process has locked the database, in ms. */
  readonly busyTimeoutMs: number;
  /** Accept a database that a newer version has migrated: for a worker that was there before, and has a result to record. */
  readonly acceptNewer: boolean;
  /** False: treats a database of an older version as if there were none, and leaves it as it is. Default: true. */
  readonly upgrades?: boolean;
  /** Turns the tables of the Python orchesjob into ours. */
  readonly upgrade: (database: Database) => void;
}

/** The last connection that has the database to itself: see alsoOnFullDisk. */
let alone: Database | undefined;

/** Whether nobody else can use the database while this connection is open. */
export function isAlone(database: Database): boolean {
  return database === alone;
}

/**
 * Opens the database. On a full disk the processes cannot share the index of the write-ahead log, unless one of them still has
 * it open. Then opens it for this process alone, which has the index in its own memory: it can read, and it learns when it writes
 * that the disk is full.
 */
export function alsoOnFullDisk<T>(open: (prepare?: (database: Database) => void) => T): T {
  try {
    return open();
  } catch (error) {
    if (!isError(error, "SQLITE_IOERR_SHMSIZE")) throw error;
    return open((database) => {
      database.run("pragma locking_mode = exclusive");
      alone = database;
    });
  }
}

/** Opens the database; undefined if there is none and `create` is false. Throws OrchesjobError. */
export function openDatabase(path: string, options: OpenOptions): Database | undefined {
  return translateErrors(path, options.busyTimeoutMs, () =>
    alsoOnFullDisk((prepare) => {
      const database = openFile(path, options.create);
      if (database === undefined) return undefined;
      try {
        database.run(`pragma busy_timeout = ${options.busyTimeoutMs}`);
        prepare?.(database);
        if (prepareSchema(database, path, options)) {
          database.run("pragma synchronous = full");
          return database;
        }
      } catch (error) {
        database.close();
        throw error;
      }
      database.close();
      return undefined;
    }),
  );
}

function openFile(path: string, create: boolean): Database | undefined {
  const open = () => new Database(path, { readwrite: true, create, strict: true });
  try {
    return open();
  } catch (error) {
    if (create || !isError(error, "SQLITE_CANTOPEN")) throw error;
    // Look for the file only now that SQLite did not find it: the common case pays nothing. If it exists, another process has
    // just created it.
    return Bun.file(path).size ? open() : undefined;
  }
}

/** True if the schema is ours now. Leaves a database that is not ours as it is. */
function prepareSchema(database: Database, path: string, options: OpenOptions): boolean {
  const { create, acceptNewer, upgrades = true, upgrade } = options;
  const version = readVersion(database);
  if (version === SCHEMA_VERSION) return true;
  if (version < SCHEMA_VERSION && !upgrades) return false;
  if (version > SCHEMA_VERSION) {
    if (!isOurs(database)) throw notOurs(path);
    if (acceptNewer) return true;
    throw newerError(path, version);
  }
  if (version > 0) {
    if (!isOurs(database)) throw notOurs(path);
    transact(database, () => {
      // Not if another process has just migrated it: table jobs is a view then.
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
  // Works only before the first table exists. It lets `vacuum` return the space that clean frees.
  database.run("pragma auto_vacuum = incremental");
  database.run("pragma journal_mode = wal");
  transact(database, () => migrate(database));
  return true;
}

/** Runs `body` in one immediate transaction: it takes the lock at once, so that what it reads is still true when it writes. */
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
