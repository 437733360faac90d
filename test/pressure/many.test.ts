/** Under pressure every job is accepted, every result is right, and no caller gets a lock error. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { openDatabase } from "../support/database.ts";
import { Gate } from "../support/gate.ts";
import { inParallel } from "../support/pool.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const LONG = process.env["ORCHESJOB_LONG"] === "1";
const JOBS = LONG ? 1_000 : 200;
const AT_ONCE = 300;
const LOOKERS = 50;

/** Counts the jobs by status straight from the database. */
function census(box: Sandbox): Record<string, number> {
  using database = openDatabase(box);
  const rows = database
    .query<{ status: string; count: number }, []>(
      "select status, count(*) as count from jobs group by status",
    )
    .all();
  return Object.fromEntries(rows.map((row) => [row.status, row.count]));
}

test(`${JOBS} jobs of distinct keys by 16 callers: every one is accepted, every result is right`, async () => {
  await using box = new Sandbox();
  const results = new Map<number, JobAnswer>();
  await inParallel(16, JOBS, async (index) => {
    const command = ["sh", "-c", `echo out ${index}; exit ${index % 100}`];
    const sync = index % 2 === 0 ? ["--sync"] : [];
    results.set(index, await box.json(["start", "--run-key", `key-${index}`, ...sync, "--", ...command]));
  });
  await until("all are finished", () => {
    const { STARTING = 0, RUNNING = 0 } = census(box);
    return STARTING + RUNNING === 0;
  });
  expect(census(box)).toEqual({ SUCCEEDED: JOBS / 100, FAILED: JOBS - JOBS / 100 });
  await inParallel(4, JOBS, async (index) => {
    const accepted = results.get(index)!;
    expect(accepted).toMatchObject({
      accepted: true,
      existing: false,
      attempt_no: 1,
      run_key: `key-${index}`,
    });
    if (index % 2 === 0) expect(accepted.exit_code).toBe(index % 100);
    // A sample by command; the count from the database covers all.
    if (index % 10 > 1) return;
    const told = await box.json(["status", "--job-id", accepted.job_id]);
    expect(told.exit_code).toBe(index % 100);
    expect((await box.run(["logs", "--job-id", accepted.job_id])).stdout).toBe(`out ${index}\n`);
  });
});

test(`${AT_ONCE} jobs run at once, and all of them end with their own result`, async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  await inParallel(16, AT_ONCE, async (index) => {
    const command = ["sh", "-c", `${gate.wait}; exit ${index % 2}`];
    const answer = await box.json(["start", "--run-key", `key-${index}`, "--", ...command]);
    expect(answer.status).toBe("RUNNING");
  });
  expect(census(box)).toEqual({ RUNNING: AT_ONCE });
  gate.open(AT_ONCE);
  await until("all are finished", () => census(box)["RUNNING"] === undefined, 60);
  expect(census(box)).toEqual({ SUCCEEDED: AT_ONCE / 2, FAILED: AT_ONCE / 2 });
  await until("all workers end", () => box.processes().length === 0);
});

test(`${LOOKERS} callers ask at once while starts continue, and all get an answer`, async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "first", "--sync", "--", "true"]);
  let starts = 0;
  let looking = true;
  const starting = Promise.all(
    [1, 2].map(async (caller) => {
      while (looking) {
        await box.json(["start", "--run-key", `busy-${caller}`, "--", "true"]);
        starts += 1;
      }
    }),
  );
  await Promise.all(
    Array.from({ length: LOOKERS }, async (_, index) => {
      for (let round = 0; round < 2; round++) {
        const all = await box.json<JobAnswer[]>(["status", "--run-key", "first", "--all"]);
        expect(all.map((job) => job.status)).toEqual(["SUCCEEDED"]);
        const busy = await box.run(["status", "--run-key", `busy-${1 + (index % 2)}`]);
        expect([0, 3]).toContain(busy.code!);
        if (busy.code === 0) expect(JSON.parse(busy.stdout).status).not.toBe("LOST");
      }
    }),
  );
  looking = false;
  await starting;
  expect(starts).toBeGreaterThan(0);
  await until("all workers end", () => box.processes().length === 0);
  expect(census(box)["LOST"]).toBeUndefined();
});
