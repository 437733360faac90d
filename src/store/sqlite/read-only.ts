/** Opens the store for a process that must change nothing. A file of its own, because no command in a hurry needs it. */
import { Database } from "bun:sqlite";
import { OrchesjobError } from "../../job/errors.ts";
import type { JobStore } from "../store.ts";
import { isError, notOurs, translateErrors } from "./errors.ts";
import { isOurs, isPython, newerError, readVersion, SCHEMA_VERSION } from "./schema.ts";
import type { MoreStatements } from "./session.ts";
import { SqliteStore } from "./sqlite-store.ts";

/** Undefined if there is no database. Throws `conflict` if another version wrote it, or another program. */
export function openReadOnly(
  path: string,
  busyTimeoutMs: number,
  more: MoreStatements,
): JobStore | undefined {
  // A newer version may migrate it meanwhile, which only adds to it.
  const again = () => openFile(path, busyTimeoutMs, true);
  const database = openFile(path, busyTimeoutMs, false);
  return database && new SqliteStore(database, path, busyTimeoutMs, again, more);
}

function openFile(path: string, busyTimeoutMs: number, acceptNewer: boolean): Database | undefined {
  return translateErrors(path, busyTimeoutMs, () => {
    let database: Database;
    try {
      database = new Database(path, { readonly: true, strict: true });
    } catch (error) {
      if (isError(error, "SQLITE_CANTOPEN") && Bun.file(path).size === 0) return undefined;
      throw error;
    }
    try {
      database.run(`pragma busy_timeout = ${busyTimeoutMs}`);
      const version = readVersion(database);
      if (!isOurs(database)) throw isPython(database) ? older(path) : notOurs(path);
      if (version < SCHEMA_VERSION) throw older(path);
      if (version > SCHEMA_VERSION && !acceptNewer) throw newerError(path, version);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

function older(path: string): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${path} was written by an older version, and must be upgraded first`,
    "any other command does that, for example: orchesjob list",
  );
}
