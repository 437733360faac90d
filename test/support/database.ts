/** The database of a sandbox, opened beside orchesjob as people do by hand. */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

export function openDatabase(box: Sandbox): Database {
  const database = new Database(join(box.home, "orchesjob.db"), { readwrite: true, create: false });
  database.run("pragma busy_timeout = 20000");
  return database;
}

/** Runs one statement and closes again. */
export function edit(box: Sandbox, sql: string): void {
  using database = openDatabase(box);
  database.run(sql);
}
