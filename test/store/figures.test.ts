/** Figures: what is usual for a key, outcomes per period, runs on a line of time; and that they read few rows. */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspection } from "../../src/app/inspection.ts";
import { dayBounds, isSlow, toTotals } from "../../src/job/usual.ts";
import { FIGURES } from "../../src/store/sqlite/figures.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";

const SECOND = 1_000_000;
/** So many seconds after a fixed day. */
const at = (seconds: number) => 1_800_000_000 * SECOND + seconds * SECOND;

const place = mkdtempSync(join(tmpdir(), "orchesjob-figures-"));
const path = join(place, "orchesjob.db");
const options = { create: true, busyTimeoutMs: 10_000, acceptNewer: false, notify() {}, progress() {} };
const store = openSqliteStore(path, options, inspection)!;
const database = new Database(path);
afterAll(() => {
  store.close();
  database.close();
  rmSync(place, { recursive: true });
});

/** `end`: seconds after the fixed day; null: active. */
function insert(runKey: string, attemptNo: number, status: string, start: number, end: number | null): void {
  database.run(
    `insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host)
     values (?, ?, ?, ?, '[]', '/', ?, ?, '')`,
    [`${runKey}-${attemptNo}`, runKey, attemptNo, status, at(start), end === null ? null : at(end)],
  );
}

// 30 old successes that are beyond the newest 100 jobs, then 60 failures, then 40 successes of 1 to 40 seconds.
for (let number = 1; number <= 130; number++) {
  const isFailure = number > 30 && number <= 90;
  const took = number <= 30 ? 999 : isFailure ? 1 : number - 90;
  insert("nightly", number, isFailure ? "FAILED" : "SUCCEEDED", number * 1000, number * 1000 + took);
}
insert("nightly", 131, "RUNNING", 131_000, null);
insert("broken", 1, "LOST", 500, 90_000);
insert("new", 1, "STARTING", 131_500, null);
// A worker of the Python orchesjob wrote its end in seconds.
insert("python", 1, "SUCCEEDED", 10, null);
database.run("update job_records set finished_at = 1800000020 where run_key = 'python'");

const figures = await store.figures();

test("usual are the successes among the newest 100 finished jobs", async () => {
  const usual = await figures.usual(["nightly", "broken", "new", "python", "none"]);
  expect(usual.get("nightly")).toEqual({
    runs: 100,
    succeeded: 40,
    median: 20 * SECOND,
    p95: 38 * SECOND,
    shortest: SECOND,
    longest: 40 * SECOND,
  });
  const nothing = { succeeded: 0, median: null, p95: null, shortest: null, longest: null };
  expect(usual.get("broken")).toEqual({ runs: 1, ...nothing });
  // An end in another form is no duration.
  expect(usual.get("python")).toEqual({ runs: 1, ...nothing });
  expect([...usual.keys()]).toEqual(["nightly", "broken", "python"]);
  expect(isSlow(39 * SECOND, usual.get("nightly"))).toBe(true);
  expect(isSlow(38 * SECOND, usual.get("nightly"))).toBe(false);
  // One success would make every longer job slow.
  expect(isSlow(39 * SECOND, { ...usual.get("nightly")!, succeeded: 4 })).toBe(false);
  expect(isSlow(39 * SECOND, undefined)).toBe(false);
});

test("outcomes count by the end; the end of a period is the beginning of the next", async () => {
  const bounds = [at(31_001), at(89_000), at(91_001), at(200_000)];
  expect(await figures.outcomes(bounds)).toEqual([{ FAILED: 58 }, { FAILED: 2, LOST: 1 }, { SUCCEEDED: 40 }]);
  expect(await figures.outcomes(bounds, "nightly")).toEqual([
    { FAILED: 58 },
    { FAILED: 2 },
    { SUCCEEDED: 40 },
  ]);
  expect(await figures.outcomes(bounds, "none")).toEqual([{}, {}, {}]);
  expect(toTotals({ SUCCEEDED: 3, CANCELLED: 1 })).toEqual({ ended: 4, succeeded: 3, successRate: 0.75 });
  expect(toTotals({}).successRate).toBeNull();
});

test("runs are those that were active in a time, active ones first, then the newest end", async () => {
  const ids = async (wanted: Parameters<typeof figures.runs>[0]) =>
    (await figures.runs(wanted)).map((run) => run.jobId);
  const all = { from: at(89_500), to: at(92_000), limit: 100 };
  expect(await ids(all)).toEqual(["nightly-91", "nightly-90", "broken-1"]);
  expect(await ids({ ...all, limit: 2 })).toEqual(["nightly-91", "nightly-90"]);
  expect(await ids({ ...all, runKey: "nightly" })).toEqual(["nightly-91", "nightly-90"]);
  expect(await ids({ from: at(130_050), to: at(131_600), limit: 9 })).toEqual(["new-1", "nightly-131"]);
  expect(await figures.runs({ runKey: "nightly", from: at(0), to: at(200_000), limit: 2 })).toEqual([
    { jobId: "nightly-131", runKey: "nightly", status: "RUNNING", startedAt: at(131_000), endedAt: null },
    {
      jobId: "nightly-130",
      runKey: "nightly",
      status: "SUCCEEDED",
      startedAt: at(130_000),
      endedAt: at(130_040),
    },
  ]);
});

test("keys come in portions, each with its newest job", async () => {
  const portion = async (after: string) =>
    (await figures.keysAfter(after, 2)).map(({ runKey, attemptNo }) => [runKey, attemptNo]);
  expect(await portion("")).toEqual([
    ["broken", 1],
    ["new", 1],
  ]);
  expect(await portion("new")).toEqual([
    ["nightly", 131],
    ["python", 1],
  ]);
  expect(await portion("python")).toEqual([]);
});

test("days are those of the calendar", () => {
  const now = new Date(2026, 2, 30, 15, 30).getTime() * 1000;
  const days = dayBounds(now, 3).map((day) => new Date(day / 1000));
  expect(days.map((day) => [day.getMonth() + 1, day.getDate(), day.getHours()])).toEqual([
    [3, 28, 0],
    [3, 29, 0],
    [3, 30, 0],
    [3, 31, 0],
  ]);
});

test.each(Object.entries(FIGURES))("%s reads a range of an index", (_, statement) => {
  const plan = database.query<{ detail: string }, []>(`explain query plan ${statement}`).all();
  const steps = plan.map((step) => step.detail).filter((step) => /job_records|jobs\b/.test(step));
  expect(steps.length).toBeGreaterThan(0);
  // The active jobs are few, and their index has no others.
  for (const step of steps)
    expect(step).toMatch(
      /^SEARCH (job_records|jobs|others)( USING|$)|^SCAN job_records USING INDEX jobs_active$/,
    );
});
