/** doctor on jobs whose workers, processes or files are gone, and on a clock that went back. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { edit, openDatabase } from "../support/database.ts";
import { complaintsOf, diagnose } from "../support/doctor.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { killAndWait, killWorker, stop } from "../support/processes.ts";
import { isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const statusOf = (box: Sandbox, jobId: string) => {
  using database = openDatabase(box);
  return database.query<{ status: string }, [string]>("select status from jobs where job_id = ?").get(jobId)!
    .status;
};

test("running jobs are no complaint, and --fix does not touch them", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "exit 3");
  for (const words of [[], ["--fix"]]) {
    const found = await diagnose(box, words);
    expect(complaintsOf(found)).toEqual([]);
    expect(found.of("workers").message).toBe("1 active, each with its worker");
  }
  expect([job.worker_pid!, job.target_pid!].map(isAlive)).toEqual([true, true]);
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 3 });
});

test("a killed worker is reported, and --fix records the loss and leaves its command alone", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  const found = await diagnose(box);
  expect(found.of("workers")).toMatchObject({ status: "warning" });
  expect(found.of("workers").message).toContain(`1 of 1 active job has no worker any more: ${job.job_id}`);
  expect(statusOf(box, job.job_id)).toBe("RUNNING");
  const fixed = await diagnose(box, ["--fix"]);
  expect(fixed.of("workers")).toMatchObject({ status: "ok" });
  expect(fixed.of("workers").fixed).toContain(`recorded as LOST: ${job.job_id}`);
  expect(statusOf(box, job.job_id)).toBe("LOST");
  const orphans = fixed.of("orphans");
  expect(orphans).toMatchObject({ status: "warning", fixed: null });
  expect(orphans.message).toContain(`${job.job_id} ("k"): pids ${job.target_pid}`);
  expect(orphans.way_out).toContain(`orchesjob cancel --job-id ${job.job_id}`);
  expect(isAlive(job.target_pid!)).toBe(true);
  await killAndWait(job.target_pid!);
  expect(complaintsOf(await diagnose(box))).toEqual([]);
});

test("a stopped worker is reported, and --fix does not mark its job LOST", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await stop(job.worker_pid!);
  const found = await diagnose(box, ["--fix"]);
  expect(found.of("workers")).toMatchObject({ status: "warning", way_out: `kill -CONT ${job.worker_pid}` });
  expect(statusOf(box, job.job_id)).toBe("RUNNING");
  process.kill(job.worker_pid!, "SIGCONT");
  gate.open();
  expect(await box.json(["wait", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED" });
});

test("orphaned files are reported, and --fix deletes locks but no logs", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  await until("the worker ends", () => box.processes().length === 0);
  const old = join(box.home, "logs", "01a20fd5-7297-7304-a49c-f362d95bc29b.stdout");
  const young = join(box.home, "logs", "01a20fd5-7297-7304-a49c-f362d95bc29b.stderr");
  const strange = join(box.home, "logs", "notes.txt");
  const lock = join(box.home, "locks", "01a20fd5-7297-7304-a49c-f362d95bc29b");
  for (const path of [old, young, strange, lock]) writeFileSync(path, "", { mode: 0o600 });
  for (const path of [old, strange, lock]) utimesSync(path, 1_000_000, 1_000_000);
  const found = (await diagnose(box)).of("leftovers");
  expect(found).toMatchObject({ status: "warning" });
  expect(found.message).toStartWith(
    `2 files belong to no job: ${old}, ${lock}; 1 log without a job is kept: younger than 30d, or still open`,
  );
  expect(found.way_out).toEndWith(": orchesjob clean --older-than 30d");
  expect(existsSync(old)).toBe(true);
  const fixed = (await diagnose(box, ["--fix"])).of("leftovers");
  expect(fixed).toMatchObject({ status: "warning", fixed: "deleted 1 lock file" });
  expect(fixed.message).toStartWith(`1 file belongs to no job: ${old}; `);
  expect([old, young, strange, lock].map(existsSync)).toEqual([true, true, true, false]);
  await box.json(["clean", "--older-than", "30d"]);
  expect([old, young, strange].map(existsSync)).toEqual([false, true, true]);
});

test("finished jobs whose logs are missing are reported, but not those that never had any", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  await box.json(["start", "--run-key", "never", "--sync", "--", "/no/such/file"]);
  edit(box, "update job_records set status = 'LOST' where run_key = 'never'");
  const other = await box.json(["status", "--run-key", "never"]);
  for (const path of [job.stdout_file, other.stdout_file, other.stderr_file]) rmSync(path);
  const found = (await diagnose(box, ["--fix"])).of("job_logs");
  expect(found).toMatchObject({ status: "warning", fixed: null });
  expect(found.message).toBe(`1 finished job has lost a log: ${job.job_id} ("k")`);
  const many = `with recursive number(n) as (select 1 union all select n + 1 from number where n < 99)
    insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, target_pid, host)
    select 'old-' || n, 'old', n, 'SUCCEEDED', '["true"]', '/', n, 1, '' from number`;
  edit(box, many);
  expect((await diagnose(box)).of("job_logs").message).toMatch(
    /^100 finished jobs have lost a log: (old-\d \("old"\), ){5}and 95 more$/,
  );
});

test("a clock that went back is reported", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  edit(box, "update job_records set finished_at = finished_at + 3600000000");
  const found = (await diagnose(box)).of("clock");
  expect(found).toMatchObject({ status: "warning" });
  expect(found.message).toMatch(new RegExp(`^the clock is (3600|359\\d) s behind .* job ${job.job_id}$`));
});
