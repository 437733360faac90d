/** A long history of the Python orchesjob is upgraded whole: every job, in order, with its attempt number. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { unpackPython } from "../support/python-home.ts";
import { openDatabase } from "../support/database.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

const isLong = process.env["ORCHESJOB_LONG"] === "1";
setDefaultTimeout(isLong ? 5 * TIMEOUT_MS : TIMEOUT_MS);

const JOBS = isLong ? 300_000 : 20_000;
const KEYS = 100;
const FIRST_START = 1_700_000_000;

function fill(box: Sandbox): void {
  using database = new Database(join(box.home, "orchesjob.db"));
  const insert = database.query(
    `insert into jobs (job_id, run_key, worker_pid, target_pid, command, status, exit_code, started_at, finished_at, updated_at, attempt_no)
     values (?, ?, 1, 2, '["true"]', ?, ?, ?, ?, ?, ?)`,
  );
  database.transaction(() => {
    database.run("delete from jobs");
    for (let index = 0; index < JOBS; index++) {
      const at = FIRST_START + index;
      const failed = index % 7 === 0;
      const attempt = Math.floor(index / KEYS) + 1;
      insert.run(
        randomUUID(),
        `key-${index % KEYS}`,
        failed ? "FAILED" : "SUCCEEDED",
        failed ? 1 : 0,
        at,
        at + 1,
        at + 1,
        attempt,
      );
    }
  })();
}

test(`${JOBS} jobs`, async () => {
  await using box = new Sandbox();
  unpackPython(box, "1.1.0");
  fill(box);
  const first = await box.run(["status", "--run-key", "key-7"]);
  expect(first.stderr).toContain(`upgraded ${JOBS} jobs`);
  expect(JSON.parse(first.stdout)).toMatchObject({ attempt_no: JOBS / KEYS });
  const history = await box.json<{ attempt_no: number }[]>(["status", "--run-key", "key-0", "--all"]);
  expect(history.map((job) => job.attempt_no)).toEqual(
    Array.from({ length: JOBS / KEYS }, (_, index) => JOBS / KEYS - index),
  );
  using database = openDatabase(box);
  expect(
    database
      .query("select count(*) as count, sum(exit_code) as failed, min(started_at) as first from jobs")
      .get(),
  ).toEqual({
    count: JOBS,
    failed: Math.ceil(JOBS / 7),
    first: FIRST_START * 1e6,
  });
  expect(await box.json<unknown>(["clean", "--before", "2100-01-01"])).toMatchObject({
    deleted: JOBS,
    errors: 0,
    stray_files: 0,
  });
});
