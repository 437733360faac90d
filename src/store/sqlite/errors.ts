/** Translates SQLite's errors into the program's own. */
import { SQLiteError } from "bun:sqlite";
import { DiskFullError, OrchesjobError, StorageError } from "../../job/errors.ts";

export function notOurs(path: string, why = ""): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `${path} is not a database of orchesjob${why}`,
    "move it away, or set ORCHESJOB_HOME to another directory",
  );
}

export function isError(error: unknown, ...codes: string[]): boolean {
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(code));
}

const PAUSE_MS = 20;

/**
 * Runs a piece of database work. If another process has locked the database, tries again until the timeout (ms) is over:
 * SQLite's own busy_timeout does not cover every case, such as recovery. Then, and for every other failure of SQLite, throws
 * an OrchesjobError.
 */
export function translateErrors<T>(path: string, busyTimeoutMs: number, work: () => T): T {
  // Not performance.now(): its first call takes 50,000 instructions.
  const deadline = Bun.nanoseconds() + busyTimeoutMs * 1_000_000;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SQLiteError)) throw error;
      if (isError(error, "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL") && Bun.nanoseconds() < deadline) {
        Bun.sleepSync(PAUSE_MS);
        continue;
      }
      throw translate(path, busyTimeoutMs, error);
    }
  }
}

function translate(path: string, busyTimeoutMs: number, error: SQLiteError): OrchesjobError {
  if (isError(error, "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")) {
    return new OrchesjobError(
      "locked",
      `${path} has been locked by another process for ${busyTimeoutMs / 1000} s`,
      `try again, or see who has it open: fuser -v ${path}`,
    );
  }
  if (isError(error, "SQLITE_CONSTRAINT_TRIGGER") && error.message.includes("in a fleet")) {
    return new OrchesjobError(
      "locked",
      `the state directory of ${path} has just joined a fleet, or its fleet.json is missing`,
      "nothing was started; try again, or see: orchesjob fleet status",
    );
  }
  if (isError(error, "SQLITE_CORRUPT", "SQLITE_NOTADB")) {
    return new OrchesjobError(
      "conflict",
      `${path} is damaged (${error.message})`,
      "nothing was changed. Move it away and start anew, or restore a backup: docs/troubleshooting.md",
    );
  }
  if (isError(error, "SQLITE_FULL"))
    return new DiskFullError(`cannot write ${path}: the disk is full`, "free some space and try again");
  if (isError(error, "SQLITE_READONLY"))
    return new StorageError(
      `cannot write ${path}: it is read-only`,
      "check the file's mode and the mount",
      path,
    );
  if (isError(error, "SQLITE_CANTOPEN"))
    return new StorageError(
      `cannot open ${path}`,
      "check that you may read and write it and its directory",
      path,
    );
  if (isError(error, "SQLITE_IOERR_SHMMAP", "SQLITE_IOERR_SHMLOCK"))
    return new StorageError(
      `cannot use ${path}: its file system has no shared memory (mmap)`,
      "set ORCHESJOB_HOME to a directory on a local disk",
      path,
    );
  if (isError(error, "SQLITE_IOERR"))
    return new StorageError(
      `cannot read or write ${path}: ${error.message}`,
      "check the disk (dmesg), and the limit of file sizes (ulimit -f)",
      path,
    );
  return notOurs(path, ` (${error.message})`);
}
