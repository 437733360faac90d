/**
 * If another program keeps the database locked, every command exits 5 after at least ten seconds and leaves nothing
 * behind.
 */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { findProcesses } from "../support/processes.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const LOCKED = /^orchesjob: .*orchesjob\.db has been locked by another process for .*try again[^\n]*\n$/;

function succeeds(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

test.concurrent(
  "commands that need a locked database try for ten seconds, and then exit 5 and leave nothing",
  async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    const database = new Database(join(box.home, "orchesjob.db"));
    // Locks out readers too; SQLite grants it once the worker has closed its files.
    database.run("pragma locking_mode = exclusive");
    await until("the database is ours", () => succeeds(() => database.run("begin exclusive")));
    const marker = join(box.directory, "ran");
    const begin = performance.now();
    const attempts = [
      ["start", "--run-key", "new", "--", "touch", marker],
      ["start", "--run-key", "k", "--", "touch", marker],
      ["status", "--run-key", "k"],
      ["logs", "--run-key", "k"],
      ["clean", "--before", "2100-01-01"],
    ].map(async (args) => {
      const result = await box.run(args);
      return { ...result, elapsed: performance.now() - begin };
    });
    for (const result of await Promise.all(attempts)) {
      expect(result).toMatchObject({ code: 5, stdout: "" });
      expect(result.stderr).toMatch(LOCKED);
      expect(result.elapsed).toBeGreaterThanOrEqual(10_000);
    }
    database.run("rollback");
    database.close();
    expect((await box.run(["status", "--run-key", "new"])).code).toBe(3);
    expect(existsSync(marker)).toBe(false);
    expect(await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).toHaveLength(1);
  },
);

test.concurrent(
  "a start that can read and not write exits 5, and its prepared worker runs nothing",
  async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    const database = openDatabase(box);
    database.run("begin immediate");
    const marker = join(box.directory, "ran");
    const result = await box.run(["start", "--run-key", "new", "--", "touch", marker]);
    expect(result).toMatchObject({ code: 5, stdout: "" });
    expect(result.stderr).toMatch(LOCKED);
    database.run("rollback");
    database.close();
    await until("the worker ends", () => findProcesses(box, "_worker").length === 0);
    expect((await box.run(["status", "--run-key", "new"])).code).toBe(3);
    expect(existsSync(marker)).toBe(false);
    expect(readdirSync(join(box.home, "locks"))).toEqual([]);
  },
);
