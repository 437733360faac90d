/** Access to a sandbox's database from outside orchesjob, as with the sqlite3 shell. */
import { Database } from "bun:sqlite";
import { chmodSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

export function openDatabase(box: Sandbox): Database {
  const database = new Database(join(box.home, "orchesjob.db"), { readwrite: true, create: false });
  database.run("pragma busy_timeout = 20000");
  return database;
}

/** Opens the database, runs one statement and closes it. */
export function edit(box: Sandbox, sql: string): void {
  using database = openDatabase(box);
  database.run(sql);
}

const MIGRATIONS = join(import.meta.dir, "../../src/store/sqlite/migrations");
/** The last schema in which `jobs` was a table. */
const TABLE_SCHEMA = 3;

/** Makes the state directory with an empty database in the schema of an older orchesjob, which had no view yet. */
export function makeOlderDatabase(box: Sandbox): Database {
  mkdirSync(box.home, { mode: 0o700 });
  const database = new Database(join(box.home, "orchesjob.db"), { create: true });
  chmodSync(join(box.home, "orchesjob.db"), 0o600);
  database.run("pragma journal_mode = wal");
  const files = readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  for (const name of files.slice(0, TABLE_SCHEMA)) database.run(readFileSync(join(MIGRATIONS, name), "utf8"));
  database.run(`pragma application_id = ${0x6f6a6f62}`);
  database.run(`pragma user_version = ${TABLE_SCHEMA}`);
  return database;
}

/** Renames the tables back to what they were called in such a database, while workers run. */
export function renameBack(box: Sandbox): void {
  using database = openDatabase(box);
  database.run("begin immediate");
  for (const view of ["jobs", "run_keys", "schema_meta", "strict_overrides"])
    database.run(`drop view ${view}`);
  database.run("alter table job_records drop column finished_at_integer");
  database.run("alter table job_records rename to jobs");
  database.run("alter table unlocks rename to strict_overrides");
  database.run(`pragma user_version = ${TABLE_SCHEMA}`);
  database.run("commit");
}

/** Everything in the database, including its tables and views. */
export function dump(box: Sandbox): unknown {
  using database = openDatabase(box);
  const schema = database.query("select type, name, sql from sqlite_schema order by name").all();
  const names = database
    .query<{ name: string }, []>("select name from sqlite_schema where type = 'table' order by name")
    .all();
  const rows = names.map(({ name }) => [name, database.query(`select * from ${name}`).all()]);
  return { schema, rows, version: database.query("pragma user_version").get() };
}
