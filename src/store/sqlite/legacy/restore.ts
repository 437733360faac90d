/** Repairs a database of ours that the Python orchesjob 1.1 has rebuilt (see findRebuilt), from what is left of it. */
import { Database } from "bun:sqlite";
import { transact } from "../connection.ts";
import { translateErrors } from "../errors.ts";
import { acceptOlder } from "../public-views.ts";
import { findRebuilt, migrate } from "../schema.ts";
import { copyJobs, keepCopy, type Reporter } from "./python-upgrade.ts";

export interface Repaired {
  readonly jobs: number;
  /** The database as it was. */
  readonly copy: string;
}

/** Prefix of tables that are put aside while ours are created anew. */
const ASIDE = "aside_";

/** The table that has been renamed since. The Python orchesjob writes its times as seconds. */
const OVERRIDES = "strict_overrides";

/**
 * Repairs the database in one transaction, and keeps a copy; undefined if another process has just done it. `isHeld`: whether
 * a job's worker lives for certain, though the Python orchesjob may have called it lost.
 */
export function repairRebuilt(
  path: string,
  busyTimeoutMs: number,
  reporter: Reporter,
  isHeld: (jobId: string) => boolean,
): Repaired | undefined {
  return translateErrors(path, busyTimeoutMs, () => {
    const database = new Database(path, { readwrite: true, create: false, strict: true });
    try {
      database.run(`pragma busy_timeout = ${busyTimeoutMs}`);
      return transact(database, () => {
        const table = findRebuilt(database);
        if (table === undefined) return undefined;
        const copy = freeName(`${path}.rebuilt`);
        keepCopy(database, copy);
        return { jobs: fix(database, table, reporter, isHeld), copy };
      });
    } finally {
      database.close();
    }
  });
}

function fix(
  database: Database,
  table: string,
  reporter: Reporter,
  isHeld: (jobId: string) => boolean,
): number {
  const indexes = namesOf(database, "index").filter((name) => !name.startsWith("sqlite_"));
  for (const name of indexes) database.run(`drop index ${quoteName(name)}`);
  for (const type of ["trigger", "view"] as const)
    for (const name of namesOf(database, type)) database.run(`drop ${type} if exists ${quoteName(name)}`);
  const others = namesOf(database, "table").filter(
    (name) => !name.startsWith("sqlite_") && name !== table && name !== "run_keys" && name !== "schema_meta",
  );
  database.run("pragma user_version = 0");
  database.run(`alter table ${quoteName(table)} rename to python_jobs`);
  for (const name of others)
    database.run(`alter table ${quoteName(name)} rename to ${quoteName(ASIDE + name)}`);
  migrate(database);
  const jobs = copyJobs(database, reporter, isHeld);
  for (const name of others) putBack(database, name);
  database.run("drop table python_jobs");
  acceptOlder(database);
  return jobs;
}

/** Copies the rows of a table that was put aside into the new one, if there is one, and drops it. */
function putBack(database: Database, name: string): void {
  const aside = quoteName(ASIDE + name);
  const target = name === OVERRIDES ? "unlocks" : name;
  if (namesOf(database, "table").includes(target)) {
    const columns = columnNames(database, ASIDE + name).filter((column) =>
      columnNames(database, target).includes(column),
    );
    const values = columns.map((column) =>
      name === OVERRIDES && column.endsWith("_at")
        ? `iif(${column} < 100000000000, ${column} * 1000000, ${column})`
        : column,
    );
    database.run(
      `insert or ignore into ${quoteName(target)} (${columns.join(", ")}) select ${values.join(", ")} from ${aside}`,
    );
  }
  database.run(`drop table ${aside}`);
}

function namesOf(database: Database, type: "table" | "index" | "trigger" | "view"): readonly string[] {
  return database
    .query<{ name: string }, [string]>("select name from sqlite_schema where type = ?")
    .all(type)
    .map(({ name }) => name);
}

function columnNames(database: Database, table: string): readonly string[] {
  return database
    .query<{ name: string }, [string]>("select name from pragma_table_info(?)")
    .all(table)
    .map(({ name }) => name);
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function freeName(path: string): string {
  const { existsSync } = process.getBuiltinModule("node:fs");
  for (let number = 1; ; number++) {
    const name = number === 1 ? path : `${path}.${number}`;
    if (!existsSync(name)) return name;
  }
}
