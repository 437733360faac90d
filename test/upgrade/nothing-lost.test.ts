/** Any command can be the first to open a directory of either Python version, and nothing of it is lost. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { edit, openDatabase } from "../support/database.ts";
import {
  answeredInstant,
  editPython,
  PYTHON_VERSIONS,
  type PythonHome,
  pythonInstant,
  readHistory,
  unpackPython,
} from "../support/python-home.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const FIRST_COMMANDS = [
  ["status", "--run-key", "nightly-backup"],
  ["start", "--run-key", "new", "--sync", "--", "true"],
  ["logs", "--run-key", "nightly-backup"],
  ["clean", "--before", "2020-01-01"],
];

const TOLD_STATUS: Readonly<Record<string, string>> = { ABORTED: "CANCELLED", RUNNING: "LOST" };

async function expectNothingLost(box: Sandbox, old: PythonHome): Promise<void> {
  for (const runKey of new Set(old.jobs.map((job) => job.run_key))) {
    const expected = old.jobs.filter((job) => job.run_key === runKey).reverse();
    const told = await readHistory(box, runKey);
    expect(told.map((job) => job.job_id)).toEqual(expected.map((job) => job.job_id));
    for (const [index, job] of expected.entries()) {
      const answer = told[index]!;
      expect(answer).toMatchObject({
        run_key: runKey,
        command: JSON.parse(job.command),
        status: TOLD_STATUS[job.status] ?? job.status,
        exit_code: job.exit_code,
        worker_pid: job.worker_pid,
        target_pid: job.target_pid,
        attempt_no: job.attempt_no ?? expected.length - index,
        cancel_reason: job.abort_reason ?? null,
        rerun_of_job_id: job.rerun_of_job_id ?? null,
        rerun_reason: job.rerun_reason ?? null,
        orphan_pids: [],
      });
      expect(answeredInstant(answer.started_at)).toBe(pythonInstant(job.started_at));
      if (job.finished_at !== null)
        expect(answeredInstant(answer.finished_at!)).toBe(pythonInstant(job.finished_at));
      for (const stream of ["stdout", "stderr"] as const) {
        const logs = await box.run(["logs", "--job-id", job.job_id, "--stream", stream]);
        expect(logs).toMatchObject({ code: 0, stdout: old.log(job.job_id, stream), stderr: "" });
      }
    }
  }
}

for (const version of PYTHON_VERSIONS) {
  for (const command of FIRST_COMMANDS) {
    test(`${version} opens by ${command[0]}, which says so once, and nothing is lost`, async () => {
      await using box = new Sandbox();
      const old = unpackPython(box, version);
      const first = await box.run(command);
      expect(first.code).toBe(0);
      expect(first.stderr).toMatch(
        /^orchesjob: upgraded \d+ jobs of the Python orchesjob; the old database is kept as \S+orchesjob\.db\.python until [^\n]*\n$/,
      );
      expect((await box.run(["status", "--run-key", "missing"])).stderr).toBe("");
      await expectNothingLost(box, old);
    });
  }

  test(`${version}: the job that ran when it was packed is LOST, and its key runs again`, async () => {
    await using box = new Sandbox();
    unpackPython(box, version);
    const answer = await box.json(["start", "--run-key", "was-running", "--sync", "--", "true"]);
    expect(answer).toMatchObject({ existing: false, attempt_no: 2, status: "SUCCEEDED" });
    const [, lost] = await readHistory(box, "was-running");
    expect(lost).toMatchObject({ status: "LOST", lost_reason: "unknown", finished_at_detected: true });
  });

  test(`${version}: the old database is kept, whole and readable for its owner alone, until clean`, async () => {
    await using box = new Sandbox();
    const old = unpackPython(box, version);
    await box.run(["status", "--run-key", "missing"]);
    const path = join(box.home, "orchesjob.db.python");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const copy = new Database(path);
    expect(copy.query<unknown, []>("select * from jobs order by rowid").all()).toEqual([...old.jobs]);
    copy.close();
    for (const side of ["-wal", "-shm"]) rmSync(path + side, { force: true });
    await box.run(["clean", "--before", "2020-01-01", "--dry-run"]);
    expect(existsSync(path)).toBe(true);
    await box.run(["clean", "--before", "2020-01-01"]);
    expect(existsSync(path)).toBe(false);
  });

  test(`${version}: the upgraded database is ours and sound, and keeps the columns that people query`, async () => {
    await using box = new Sandbox();
    const old = unpackPython(box, version);
    await box.run(["status", "--run-key", "missing"]);
    using database = openDatabase(box);
    expect(database.query("pragma integrity_check").get()).toEqual({ integrity_check: "ok" });
    expect(database.query("pragma user_version").get()).not.toEqual({ user_version: 0 });
    const columns =
      "job_id, run_key, worker_pid, target_pid, command, status, exit_code, stdout_file, stderr_file, started_at, finished_at";
    expect(database.query(`select ${columns} from jobs`).all()).toHaveLength(old.jobs.length);
  });
}

test("1.1.0: a job of the first hours of 1970 (a machine without a clock) keeps its times", async () => {
  await using box = new Sandbox();
  unpackPython(box, "1.1.0");
  editPython(box, "update jobs set started_at = 3600, finished_at = 7200 where run_key = 'nightly-backup'");
  const [job] = await readHistory(box, "nightly-backup");
  expect(answeredInstant(job!.started_at)).toBe(3_600_000_000);
  expect(answeredInstant(job!.finished_at!)).toBe(7_200_000_000);
  const { stdout } = await box.run(["metrics"]);
  expect(stdout).toContain('orchesjob_last_success_timestamp_seconds{run_key="nightly-backup"} 7200\n');
});

test("a job of ours also keeps times in the first hours of 1970", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  edit(box, "update job_records set started_at = 1000000, finished_at = 2500000");
  const job = await box.json(["status", "--run-key", "k"]);
  expect([answeredInstant(job.started_at), answeredInstant(job.finished_at!)]).toEqual([
    1_000_000, 2_500_000,
  ]);
  expect(await box.json<unknown[]>(["list", "--until", "1970-01-01T00:00:02Z"])).toHaveLength(1);
  expect(await box.json(["clean", "--before", "1970-01-01T00:00:02.5Z"])).toMatchObject({ deleted: 0 });
  expect(await box.json(["clean", "--before", "1970-01-01T00:00:03Z"])).toMatchObject({ deleted: 1 });
});

test("1.1.0: the overrides of --strict are kept", async () => {
  await using box = new Sandbox();
  unpackPython(box, "1.1.0");
  const read = () => {
    using database = openDatabase(box);
    return database
      .query<{ allowed_at: number; used_at: number | null; expires_at: number | null }, []>(
        "select run_key, allowed_at, used_at, reason, expires_at from strict_overrides",
      )
      .all();
  };
  const before = read();
  expect(before).toHaveLength(1);
  await box.run(["status", "--run-key", "missing"]);
  const micros = (seconds: number | null) => (seconds === null ? null : seconds * 1_000_000);
  expect(read()).toEqual(
    before.map((row) => ({
      ...row,
      allowed_at: micros(row.allowed_at)!,
      used_at: micros(row.used_at),
      expires_at: micros(row.expires_at),
    })),
  );
  // The one run that it allows is still allowed, and no other.
  const start = () => box.json(["start", "--run-key", "daily-import", "--strict", "--sync", "--", "true"]);
  expect((await start()).existing).toBe(false);
  expect((await start()).existing).toBe(true);
});
