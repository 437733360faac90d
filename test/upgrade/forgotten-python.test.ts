/**
 * A leftover call of the Python orchesjob on a directory that is already upgraded changes nothing, or doctor --fix
 * repairs it.
 */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { dump, edit, makeOlderDatabase, openDatabase, renameBack } from "../support/database.ts";
import { complaintsOf, diagnose } from "../support/doctor.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { openFiles } from "../support/processes.ts";
import { PythonProgram } from "../support/python-program.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** What the commands of the Python versions write about a running job. */
const STATEMENTS = (jobId: string): readonly string[] => [
  // start
  "insert into jobs (job_id, run_key, command, status, started_at) values ('x', 'new', '[]', 'STARTING', 1795496401)",
  "insert or replace into run_keys (run_key, job_id, created_at) values ('k', 'x', 1795496401)",
  // status, which marks a job LOST if it does not see the job's worker
  `update jobs set status = 'LOST' where job_id = '${jobId}'`,
  `update jobs set status = 'LOST', finished_at = '2026-11-24T05:00:01+00:00' where job_id = '${jobId}'`,
  `update jobs set status = 'LOST', finished_at = 1795496401, updated_at = 1795496401 where job_id = '${jobId}' and status in ('STARTING', 'RUNNING')`,
  // abort
  `update jobs set status = 'ABORTED', aborted_at = 1795496401, abort_reason = 'x', finished_at = 1795496401, updated_at = 1795496401 where job_id = '${jobId}'`,
  // a worker that does not belong to this job
  `update jobs set status = 'SUCCEEDED', exit_code = 0, finished_at = 1795496401, updated_at = 1795496401 where job_id = '${jobId}'`,
  `update jobs set status = 'FAILED', exit_code = 1, finished_at = '2026-11-24T05:00:01.5+00:00' where job_id = '${jobId}'`,
  // clean
  "delete from jobs where status not in ('STARTING', 'RUNNING')",
  `delete from run_keys where job_id = '${jobId}'`,
  // unlock
  "insert or replace into strict_overrides (run_key, allowed_at, used_at, reason, expires_at) values ('s', 1795496401, null, '', 1795499999)",
  "update strict_overrides set used_at = 1795496401",
  // the start-up of one that has decided to rebuild, in either order
  "alter table jobs rename to jobs_old",
  "alter table jobs add column aborted_at INTEGER",
  "drop table jobs",
  "create index if not exists jobs_by_key on jobs (run_key)",
  "insert or replace into schema_meta (key, value) values ('schema_version', '2')",
];

test("no statement of the Python programs changes anything in an upgraded directory, and a running job continues", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "s", "--strict", "--sync", "--", "true"]);
  await box.json(["unlock", "--run-key", "s"]);
  const job = await startWaiting(box, "k", gate, "exit 3");
  const before = dump(box);
  {
    using python = new PythonProgram(box);
    python.startUp10();
    expect(python.startUp11()).toBe(false);
    for (const statement of STATEMENTS(job.job_id)) {
      // Some find no row, or nothing to do.
      try {
        python.execute(statement);
      } catch (error) {
        expect(String(error)).toMatch(
          /this directory is used by the newer orchesjob|is a view|to a view|views may not|may not be altered|delete view/,
        );
      }
      python.commit();
    }
    expect(() => python.rebuild("as they are")).toThrow("use DROP VIEW");
  }
  edit(box, "drop table jobs_new");
  expect(dump(box)).toEqual(before);
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 3 });
  expect(complaintsOf(await diagnose(box))).toEqual([]);
});

test("the table jobs can be queried under the column names of either Python version", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "exit 3"]);
  using database = openDatabase(box);
  const row = database
    .query(
      `select job_id, run_key, worker_pid, target_pid, command, status, exit_code, stdout_file, stderr_file, started_at, finished_at,
        updated_at, aborted_at, abort_reason, rerun_of_job_id, attempt_no, rerun_reason from jobs join run_keys using (run_key, job_id)`,
    )
    .get();
  expect(row).toMatchObject({
    job_id: job.job_id,
    run_key: "k",
    status: "FAILED",
    exit_code: 3,
    command: '["sh","-c","exit 3"]',
    stdout_file: `logs/${job.job_id}.stdout`,
    finished_at: expect.any(Number),
    aborted_at: null,
    attempt_no: 1,
  });
});

/** Every command is refused in one sentence that says what happened and what to do; nothing changes. */
async function expectReported(box: Sandbox): Promise<void> {
  const before = dump(box);
  for (const words of [
    ["status", "--run-key", "k"],
    ["list"],
    ["start", "--run-key", "k", "--", "true"],
    ["start", "--run-key", "s", "--strict", "--", "true"],
    ["clean", "--before", "2100-01-01"],
    ["metrics"],
  ]) {
    const result = await box.run(words);
    expect([words, result]).toMatchObject([words, { code: 4, stdout: "" }]);
    expect(result.stderr).toMatch(
      /^orchesjob: \S+ was changed by the Python orchesjob 1\.1: .*run: orchesjob doctor --fix .*\n$/,
    );
    expect(result.stderr).not.toMatch(/move it away|Invalid/);
  }
  const found = (await diagnose(box)).of("database");
  expect(found).toMatchObject({ status: "problem" });
  expect(found.message).toContain("was changed by the Python orchesjob 1.1");
  expect(dump(box)).toEqual(before);
}

for (const conversion of ["as they are", "by strftime"] as const) {
  test(`a database that 1.1 has rebuilt, times ${conversion}, is reported and repaired, and a running job stays active`, async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    for (const code of ["0", "7"])
      await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", `exit ${code}`]);
    await box.json(["start", "--run-key", "s", "--strict", "--sync", "--", "true"]);
    await box.json(["start", "--run-key", "r", "--request-id", "one", "--sync", "--", "true"]);
    const job = await startWaiting(box, "waits", gate, "exit 3");
    const called = await startWaiting(box, "called-lost", gate, "exit 4");
    await box.json(["start", "--run-key", "s2", "--strict", "--sync", "--", "true"]);
    await box.json(["unlock", "--run-key", "s2"]);
    const before = await box.json<JobAnswer[]>(["list"]);
    renameBack(box);
    {
      using python = new PythonProgram(box);
      expect(python.startUp11(conversion)).toBe(true);
      // Its status has marked a running job LOST.
      python.execute(
        `update jobs set status = 'LOST', finished_at = 1795496401 where job_id = '${called.job_id}'`,
      );
      python.commit();
    }
    await expectReported(box);
    const repaired = (await diagnose(box, ["--fix"])).of("database");
    const copy = join(box.home, "orchesjob.db.rebuilt");
    expect(repaired).toMatchObject({ status: "ok" });
    expect(repaired.fixed).toBe(`restored 7 jobs from what was left; the old database is kept as ${copy}`);
    expect(existsSync(copy)).toBe(true);
    expect(await diagnose(box, ["--fix"])).toMatchObject({ summary: { fixed: 0 } });

    const after = await box.json<JobAnswer[]>(["list"]);
    const told = (jobs: readonly JobAnswer[]) =>
      jobs.map(({ job_id, run_key, status, attempt_no, command, exit_code, worker_pid, target_pid }) => ({
        ...{ job_id, run_key, status, attempt_no, command, exit_code, worker_pid, target_pid },
      }));
    expect(told(after)).toEqual(told(before));
    if (conversion === "as they are")
      expect(after.map(({ started_at, finished_at }) => [started_at, finished_at])).toEqual(
        before.map(({ started_at, finished_at }) => [started_at, finished_at]),
      );
    // The ids contain the time when they were made, to the ms.
    else
      for (const [index, { started_at }] of after.entries())
        expect(Math.abs(Date.parse(started_at) - Date.parse(before[index]!.started_at))).toBeLessThan(5_000);

    const again = (words: readonly string[]) => box.json(["start", ...words, "--", "true"]);
    expect(await again(["--run-key", "waits"])).toMatchObject({ existing: true, job_id: job.job_id });
    expect(await again(["--run-key", "s", "--strict"])).toMatchObject({ existing: true });
    expect(await again(["--run-key", "r", "--request-id", "one"])).toMatchObject({ existing: true });
    expect(await again(["--run-key", "s2", "--strict"])).toMatchObject({ existing: false });
    gate.open();
    expect(await box.json(["wait", "--run-key", "waits"])).toMatchObject({ status: "FAILED", exit_code: 3 });
    expect(await box.json(["wait", "--run-key", "called-lost"])).toMatchObject({ exit_code: 4 });
    await until("the workers end", () => box.processes().length === 0);
    // After the repair, another Python call changes nothing.
    using python = new PythonProgram(box);
    expect(python.startUp11()).toBe(false);
  });
}

test("if 1.1 has read the schema and our first command then migrates, 1.1 fails, and nothing is lost", async () => {
  await using box = new Sandbox();
  makeOlderDatabase(box).close();
  edit(
    box,
    `insert into jobs (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host, boot_id)
     values ('018f0000-0000-7000-8000-000000000001', 'k', 1, 'SUCCEEDED', '["true"]', '/', 1795496401000000, 1795496402000000, 'h', 'b')`,
  );
  const python = new PythonProgram(box);
  python.execute("create table if not exists schema_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
  python.commit();
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED" });
  expect(() => python.rebuild("as they are")).toThrow("use DROP VIEW");
  python[Symbol.dispose]();
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED", attempt_no: 1 });
});

test("if our first command comes while 1.1 rebuilds, it waits for the end, and says what has happened", async () => {
  await using box = new Sandbox();
  makeOlderDatabase(box).close();
  const python = new PythonProgram(box);
  // A Python program in the middle of it: it has begun to write.
  python.execute(
    "insert into jobs (job_id, run_key, attempt_no, status, command, cwd, started_at, host) values ('x', 'k', 1, 'SUCCEEDED', '[]', '/', 1795496401000000, 'h')",
  );
  const status = box.spawn([BINARY, "status", "--run-key", "k"]);
  await until("it looks at the database", () =>
    openFiles(status.pid).some((path) => path.endsWith("orchesjob.db")),
  );
  python.rebuildWithin();
  python[Symbol.dispose]();
  expect(await box.finished(status)).toMatchObject({ code: 4 });
  await expectReported(box);
});

/** The exact statements of a worker of an older orchesjob, which may still live when the database is migrated. */
const OLDER = {
  run: `update jobs set status = 'RUNNING', updated_at = $at, worker_pid = 5, worker_start = 6, host = 'h', boot_id = 'b', pid_namespace = 'n', unit = null
     where job_id = 'x' and status in ('STARTING') returning *`,
  recordTarget:
    "update jobs set target_pid = 7, target_start = 8, updated_at = $at where job_id = 'x' and status in ('STARTING', 'RUNNING')",
  fail: `update jobs set status = 'FAILED', updated_at = $at, exit_code = -9, signal = 'SIGKILL', error = 'e', failure = 'timed_out', finished_at = $at,
    target_pid = coalesce(null, target_pid), target_start = coalesce(null, target_start)
     where job_id = 'x' and status in ('STARTING', 'RUNNING') returning *`,
  recordHook: `update jobs set on_exit_code = 1, on_exit_error = null, on_exit_finished_at = $at
    where job_id = 'x' and status not in ('STARTING', 'RUNNING') and on_exit_finished_at is null`,
};

test("a worker of an older orchesjob still records what it has to, once, and nothing after the end", async () => {
  await using box = new Sandbox();
  makeOlderDatabase(box).close();
  using older = openDatabase(box);
  const start = `insert into jobs (job_id, run_key, attempt_no, status, command, cwd, started_at, updated_at, host, boot_id)
    values ($id, 'k', $no, 'STARTING', '[]', '/', $at, $at, 'h', 'b') returning *`;
  const at = 1795496401000000;
  older.query(start).get({ $id: "x", $no: 1, $at: at });
  const run = (sql: string) => older.query<Record<string, unknown>, [{ $at: number }]>(sql).all({ $at: at });
  // A new command migrates, and marks the job LOST, which the edit below undoes. The edit also sets the hook, which
  // would run if it were there earlier.
  await box.run(["list", "--limit", "1", "--status", "SUCCEEDED"]);
  using look = new Database(join(box.home, "orchesjob.db"), { readonly: true });
  const row = () => look.query("select * from job_records where job_id = 'x'").get();
  edit(
    box,
    "update job_records set status = 'STARTING', lost_reason = null, finished_at = null, on_exit = 'true'",
  );
  expect(run(OLDER.run)).toMatchObject([{ job_id: "x", status: "RUNNING", worker_pid: 5, seq: 1 }]);
  expect(run(OLDER.run)).toEqual([]);
  run(OLDER.recordTarget);
  expect(row()).toMatchObject({ status: "RUNNING", target_pid: 7, target_start: 8, updated_at: at });
  expect(() => older.query(start).get({ $id: "y", $no: 2, $at: at })).toThrow("UNIQUE");
  expect(run(OLDER.fail)).toMatchObject([{ status: "FAILED", signal: "SIGKILL" }]);
  expect(run(OLDER.fail)).toEqual([]);
  expect(row()).toMatchObject({
    status: "FAILED",
    exit_code: -9,
    error: "e",
    finished_at: at,
    target_pid: 7,
  });
  run(OLDER.recordHook);
  expect(row()).toMatchObject({ on_exit_code: 1, on_exit_finished_at: at });
  expect(older.query(start).get({ $id: "y", $no: 2, $at: at })).toMatchObject({ job_id: "y" });
  // The trigger that allows this is dropped once no job can need it.
  edit(box, "update job_records set status = 'LOST', finished_at = 1 where job_id = 'y'");
  edit(box, "update job_records set on_exit = null");
  await box.json(["start", "--run-key", "last", "--sync", "--", "true"]);
  await until("the triggers are gone", () => {
    const triggers = look.query("select name from sqlite_schema where type = 'trigger'").all();
    return triggers.length === 0;
  });
});
