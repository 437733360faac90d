/** The SQLite store does what every store must, and looks jobs up by index, so that history costs nothing. */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspection } from "../../src/app/inspection.ts";
import { queries } from "../../src/store/sqlite/queries.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { testStore } from "./conformance.ts";

const SILENT = { notify: () => {}, progress: () => {} };

function open(place: string) {
  const options = { create: true, busyTimeoutMs: 10_000, acceptNewer: false, ...SILENT };
  return openSqliteStore(join(place, "orchesjob.db"), options, inspection)!;
}

testStore("SQLite", open);

test("reading does not create a database", () => {
  const place = mkdtempSync(join(tmpdir(), "orchesjob-store-"));
  expect(
    openSqliteStore(join(place, "orchesjob.db"), {
      create: false,
      busyTimeoutMs: 10,
      acceptNewer: false,
      ...SILENT,
    }),
  ).toBeUndefined();
  expect([...new Bun.Glob("*").scanSync(place)]).toEqual([]);
  rmSync(place, { recursive: true });
});

describe("query plans", () => {
  const place = mkdtempSync(join(tmpdir(), "orchesjob-plans-"));
  open(place).close();
  const database = new Database(join(place, "orchesjob.db"));
  afterAll(() => {
    database.close();
    rmSync(place, { recursive: true });
  });

  /** dropRequests is clean's last step and reads every request on purpose. */
  /** Only this index may be read from end to end: it holds no more than the active jobs. */
  const WALK = /^SCAN jobs(?! USING INDEX jobs_active$)/;

  test.each(Object.entries(queries()).filter(([name]) => name !== "dropRequests"))(
    "%s uses an index, and sorts nothing",
    (_, sql) => {
      const steps = database.query<{ detail: string }, []>(`explain query plan ${sql}`).all();
      const plan = steps.map((step) => step.detail);
      expect(plan.filter((step) => WALK.test(step) || step.includes("TEMP B-TREE"))).toEqual([]);
      if (!sql.startsWith("insert"))
        expect(plan.join()).toMatch(/\bjob_records USING (COVERING )?INDEX|USING PRIMARY KEY/);
    },
  );

  test("the database itself refuses a second active job of a key", () => {
    const insert = (id: string, attempt: number, status: string) =>
      database.run(
        `insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, host)
         values (?, 'k', ?, ?, '[]', '/', 0, '')`,
        [id, attempt, status],
      );
    insert("a", 1, "STARTING");
    expect(() => insert("b", 2, "STARTING")).toThrow("UNIQUE constraint failed");
    expect(() => insert("b", 2, "RUNNING")).toThrow("UNIQUE constraint failed");
    insert("b", 2, "SUCCEEDED");
    expect(() => database.run("update job_records set status = 'RUNNING' where job_id = 'b'")).toThrow(
      "UNIQUE",
    );
    expect(() => insert("c", 3, "ABORTED")).toThrow("CHECK constraint failed");
  });
});
