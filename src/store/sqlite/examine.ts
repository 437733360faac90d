/** Examines a database, read-only: it migrates, upgrades and creates nothing. */
import { constants, Database } from "bun:sqlite";
import { OrchesjobError } from "../../job/errors.ts";
import type { Examination } from "../examination.ts";
import type { JobStore } from "../store.ts";
import { alsoOnFullDisk } from "./connection.ts";
import { notOurs, translateErrors } from "./errors.ts";
import type { Reporter } from "./legacy/python-upgrade.ts";
import { newerError, findRebuilt, isOurs, isPython, readVersion, rebuilt, SCHEMA_VERSION } from "./schema.ts";

/** Up to this size (bytes) every index is compared with its table: `pragma integrity_check` takes about 10 s for each GB. */
const THOROUGH_BYTES = 1024 ** 3;
/** How many faults are reported at most. */
const MOST_FAULTS = 5;

export function examineDatabase(
  path: string,
  busyTimeoutMs: number,
  reporter: Reporter,
  open: () => JobStore,
): Examination {
  const bytes = Bun.file(path).size;
  const base = {
    error: undefined,
    schema: 0,
    knownSchema: SCHEMA_VERSION,
    damage: [],
    thorough: bytes <= THOROUGH_BYTES,
    bytes,
    pendingBytes: Bun.file(`${path}-wal`).size,
    open,
    async fix(isHeld: (jobId: string) => boolean) {
      const { repairRebuilt } = await import("./legacy/restore.ts");
      return repairRebuilt(path, busyTimeoutMs, reporter, isHeld);
    },
  };
  if (bytes === 0) return { ...base, kind: "missing" };
  try {
    return translateErrors(path, busyTimeoutMs, () =>
      alsoOnFullDisk((prepare) => {
        // A lock against all others needs a file that is open for writing.
        const mode = prepare === undefined ? { readonly: true } : { readwrite: true, create: false };
        const database = new Database(path, { ...mode, strict: true });
        try {
          database.run(`pragma busy_timeout = ${busyTimeoutMs}`);
          prepare?.(database);
          const found = { ...base, schema: readVersion(database) };
          const { kind, error } = classify(database, path, found.schema);
          const damage = kind === "foreign" ? [] : findDamage(database, base.thorough);
          return { ...found, kind, error, damage };
        } finally {
          database.close();
        }
      }),
    );
  } catch (error) {
    if (!(error instanceof OrchesjobError)) throw error;
    return { ...base, kind: "unreadable", error };
  }
}

/** Whether a file is a database of the Python orchesjob, by its header and its tables; false if it cannot be read. Quick. */
export function looksLikePython(path: string): boolean {
  // Nobody writes to a copy, and without `immutable` SQLite could leave side files beside it.
  const uri = `file:${path.split("/").map(encodeURIComponent).join("/")}?immutable=1`;
  try {
    const database = new Database(uri, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
    try {
      return readVersion(database) === 0 && isPython(database);
    } finally {
      database.close();
    }
  } catch {
    return false;
  }
}

function classify(database: Database, path: string, version: number): Pick<Examination, "kind" | "error"> {
  if (version > 0 && !isOurs(database)) return { kind: "foreign", error: notOurs(path) };
  if (version > SCHEMA_VERSION) return { kind: "newer", error: newerError(path, version) };
  if (version > 0 && version < SCHEMA_VERSION && findRebuilt(database) !== undefined)
    return { kind: "rebuilt", error: rebuilt(path) };
  if (version > 0) return { kind: version < SCHEMA_VERSION ? "older" : "ours", error: undefined };
  if (isPython(database)) return { kind: "python", error: undefined };
  const { count } = database
    .query<{ count: number }, []>("select count(*) as count from sqlite_schema where type = 'table'")
    .get()!;
  return count === 0 ? { kind: "missing", error: undefined } : { kind: "foreign", error: notOurs(path) };
}

function findDamage(database: Database, thorough: boolean): readonly string[] {
  const pragma = thorough ? "integrity_check" : "quick_check";
  const rows = database.query<Record<string, string>, []>(`pragma ${pragma}(${MOST_FAULTS})`).all();
  // One message may have many lines, the first of which only names the database.
  const words = rows.flatMap((row) => Object.values(row)).flatMap((word) => word.split("\n"));
  return words.filter((word) => word !== "ok" && !word.startsWith("***")).slice(0, MOST_FAULTS);
}
