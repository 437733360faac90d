/** clean: what it deletes, what it never touches, and that it reports what it could not delete. */
import { Database } from "bun:sqlite";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const CLEAN_ALL = ["clean", "--before", "2100-01-01"];

function logsOf(box: Sandbox): string[] {
  return readdirSync(`${box.home}/logs`).sort();
}

async function runJob(box: Sandbox, key: string, script = "echo out; echo err >&2"): Promise<JobAnswer> {
  return box.json(["start", "--run-key", key, "--sync", "--", "sh", "-c", script]);
}

test("clean deletes finished jobs of any status with both logs, and prints how many", async () => {
  await using box = new Sandbox();
  await runJob(box, "good");
  await runJob(box, "bad", "exit 1");
  await box.json(["start", "--run-key", "unlaunched", "--", "/no/such/file"]);
  await runJob(box, "good");
  const result = await box.run(CLEAN_ALL);
  const answer = JSON.parse(result.stdout) as object;
  expect(result).toEqual({
    ...{ code: 0, signal: null, stderr: "" },
    stdout: `${JSON.stringify(answer, null, 2)}\n`,
  });
  expect(Object.keys(answer).slice(0, 2)).toEqual(["deleted", "errors"]);
  expect(answer).toMatchObject({ deleted: 4, errors: 0, stray_files: 0, dry_run: false });
  expect(logsOf(box)).toEqual([]);
  expect(readdirSync(`${box.home}/locks`)).toEqual([]);
  for (const key of ["good", "bad", "unlaunched"])
    expectFailure(await box.run(["status", "--run-key", key]), 3, key);
  expect(await box.json<unknown>(CLEAN_ALL)).toMatchObject({ deleted: 0, errors: 0, stray_files: 0 });
});

test("clean --before deletes only jobs that ended before the time", async () => {
  await using box = new Sandbox();
  const first = await runJob(box, "a");
  const second = await runJob(box, "b");
  expect(await box.json<unknown>(["clean", "--before", first.started_at])).toMatchObject({
    deleted: 0,
    errors: 0,
    stray_files: 0,
  });
  expect(await box.json<unknown>(["clean", "--before", second.finished_at!])).toMatchObject({
    deleted: 1,
    errors: 0,
    stray_files: 0,
  });
  expect(logsOf(box)).toEqual([`${second.job_id}.stderr`, `${second.job_id}.stdout`]);
  expect(await box.json(["status", "--run-key", "b"])).toMatchObject({ job_id: second.job_id });
});

test("clean never touches an active job, but deletes its key's older attempts", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await runJob(box, "k");
  const active = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  expect(await box.json<unknown>(CLEAN_ALL)).toMatchObject({ deleted: 1, errors: 0, stray_files: 0 });
  expect(logsOf(box)).toEqual([`${active.job_id}.stderr`, `${active.job_id}.stdout`]);
  const again = await box.json(["start", "--run-key", "k", "--", "true"]);
  expect(again).toMatchObject({ existing: true, job_id: active.job_id, attempt_no: 2 });
  gate.open();
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
  });
});

test("--dry-run names each job on stderr, counts them, and deletes nothing", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const jobs = [await runJob(box, "a"), await runJob(box, "b", "exit 1")];
  await box.json(["start", "--run-key", "active", "--", ...gate.command]);
  const files = logsOf(box);
  const result = await box.run([...CLEAN_ALL, "--dry-run"]);
  expect(result.code).toBe(0);
  expect(JSON.parse(result.stdout)).toMatchObject({ deleted: 2, errors: 0, stray_files: 0 });
  const lines = result.stderr.trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  jobs.forEach((job, index) => expect(lines[index]).toContain(`Would delete job ${job.job_id}`));
  expect(logsOf(box)).toEqual(files);
  expect(await box.json(["status", "--run-key", "a"])).toMatchObject({ status: "SUCCEEDED" });
});

test("a log that cannot be deleted counts as an error and is reported, and the next clean finishes the job", async () => {
  await using box = new Sandbox();
  const stuck = await runJob(box, "stuck");
  await runJob(box, "easy");
  // A directory: unlink(2) fails on it even for root.
  unlinkSync(stuck.stderr_file);
  mkdirSync(stuck.stderr_file);
  const result = await box.run(CLEAN_ALL);
  expect(result.code).toBe(0);
  expect(JSON.parse(result.stdout)).toMatchObject({ deleted: 1, errors: 1, stray_files: 0 });
  expect(result.stderr).toMatch(/^orchesjob: [^\n]+\n$/);
  expect(result.stderr).toContain(stuck.stderr_file);
  expect(await box.json(["status", "--run-key", "stuck"])).toMatchObject({ job_id: stuck.job_id });
  rmdirSync(stuck.stderr_file);
  expect(await box.json<unknown>(CLEAN_ALL)).toMatchObject({ deleted: 1, errors: 0, stray_files: 0 });
  expect(existsSync(stuck.stdout_file)).toBe(false);
});

test("logs that are already gone are no error", async () => {
  await using box = new Sandbox();
  const job = await runJob(box, "k");
  unlinkSync(job.stdout_file);
  unlinkSync(job.stderr_file);
  expect(await box.json<unknown>(CLEAN_ALL)).toMatchObject({ deleted: 1, errors: 0, stray_files: 0 });
});

test("after a clean the run key starts with attempt 1 again", async () => {
  await using box = new Sandbox();
  const old = await runJob(box, "k");
  await box.json<unknown>(CLEAN_ALL);
  const fresh = await runJob(box, "k");
  expect(fresh).toMatchObject({ accepted: true, status: "SUCCEEDED" });
  expect(fresh.job_id).not.toBe(old.job_id);
});

describe("many jobs", () => {
  const MANY = 25_000;

  /** Makes a history of jobs whose logs are already gone. */
  async function withHistory(box: Sandbox): Promise<void> {
    await runJob(box, "k");
    using database = new Database(`${box.home}/orchesjob.db`);
    database.run(
      `with recursive number(n) as (select 1 union all select n + 1 from number where n < ${MANY})
       insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host)
       select 'old-' || n, 'key ' || n, 1, 'SUCCEEDED', '["true"]', '/', n * 1000000000, n * 1000000000, ''
       from number`,
    );
  }

  test("clean deletes them all, and prints no progress if stderr is not a terminal", async () => {
    await using box = new Sandbox();
    await withHistory(box);
    const result = await box.run(["clean", "--before", "2026-01-01"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(result.stdout)).toMatchObject({ deleted: MANY, errors: 0, stray_files: 0 });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED" });
  });

  testWith(["script"], "clean shows its progress on a terminal", async () => {
    await using box = new Sandbox();
    await withHistory(box);
    const words = ["script", "-qec", `${BINARY} clean --before 2026-01-01 >answer`, "/dev/null"];
    const { code, stdout } = await box.execute(words);
    expect(code).toBe(0);
    expect(stdout).toBe("orchesjob: deleted 10000 jobs\r\norchesjob: deleted 20000 jobs\r\n");
    expect(await Bun.file(`${box.directory}/answer`).json()).toMatchObject({
      deleted: MANY,
      errors: 0,
      stray_files: 0,
    });
  });
});
