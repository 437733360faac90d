/** Opening the database: the checks before anything is trusted, the schema, and SQLite's errors in our words. */
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
  /** How long to wait while another process is in the way, in ms. */
  readonly busyTimeoutMs: number;
  /** Go on where a newer version has migrated the database: for a worker, which was there before, and has a result to tell. */
  readonly acceptNewer: boolean;
  /** False: a database of an older version is left as it is, as if there were none. Default: true. */
  readonly upgrades?: boolean;
  /** Turns the tables of the Python orchesjob into ours. */
  readonly upgrade: (database: Database) => void;
}

/** Opens the database; undefined where there is none yet and `create` is false. */
export function openDatabase(path: string, options: OpenOptions): Database | undefined {
  return translateErrors(path, options.busyTimeoutMs, () => {
    const database = openFile(path, options.create);
    if (database === undefined) return undefined;
    database.run(`pragma busy_timeout = ${options.busyTimeoutMs}`);
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
    throw newerError(path, version);
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
