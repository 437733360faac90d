/**
 * A job is active exactly as long as its worker lives, tested with workers killed or stopped, lock files deleted and
 * pids reused.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { killAndWait, killWorker, statusOf, stop } from "../support/processes.ts";
import { BINARY, isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const lockFile = (box: Sandbox, jobId: string) => join(box.home, "locks", jobId);

test("a job whose worker and command were killed is LOST, says why and since when, and its key runs again", async () => {
  await using box = new Sandbox();
  const job = await startWaiting(box, "k", new Gate(box));
  await killWorker(job);
  await killAndWait(job.target_pid!);
  const before = Date.now();
  const lost = await statusOf(box, "k");
  expect(lost).toMatchObject({
    status: "LOST",
    lost_reason: "worker_killed",
    exit_code: null,
    signal: null,
    orphan_pids: [],
    finished_at_detected: true,
  });
  expect(Date.parse(lost.finished_at!)).toBeGreaterThanOrEqual(before);
  expect(await statusOf(box, "k")).toEqual(lost);
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    existing: false,
    status: "SUCCEEDED",
    attempt_no: 2,
  });
  expect(readdirSync(join(box.home, "locks"))).toEqual([]);
});

test("start --sync answers LOST when the worker is killed meanwhile", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const caller = box.spawn([...[BINARY, "start", "--run-key", "k", "--sync", "--", "sh", "-c", gate.wait]]);
  const job = await until("the job runs", async () => {
    const result = await box.run(["status", "--run-key", "k"]);
    const answer = result.code === 0 ? JSON.parse(result.stdout) : undefined;
    return answer?.target_pid ? answer : undefined;
  });
  await killWorker(job);
  const result = await box.finished(caller);
  expect(result.code).toBe(0);
  expect(JSON.parse(result.stdout)).toMatchObject({ status: "LOST", orphan_pids: [job.target_pid] });
  gate.open();
});

test("a stopped worker's job is never LOST, and gets its result when the worker continues", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "exit 4");
  await stop(job.worker_pid!);
  gate.open();
  await until("the command has ended", () => !isAlive(job.target_pid!));
  for (let round = 0; round < 5; round++) expect((await statusOf(box, "k")).status).toBe("RUNNING");
  expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({ existing: true });
  process.kill(job.worker_pid!, "SIGCONT");
  const done = await until("the result", async () => {
    const answer = await statusOf(box, "k");
    return answer.status !== "RUNNING" && answer;
  });
  expect(done).toMatchObject({ status: "FAILED", exit_code: 4 });
});

test("without its lock file a job is RUNNING while its worker lives, and LOST when it does not", async () => {
  await using box = new Sandbox();
  const job = await startWaiting(box, "k", new Gate(box));
  rmSync(lockFile(box, job.job_id));
  expect((await statusOf(box, "k")).status).toBe("RUNNING");
  expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({ existing: true });
  await killWorker(job);
  await killAndWait(job.target_pid!);
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", lost_reason: "worker_killed" });
});

test("a wait for a job without its lock file still gets its result", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "exit 6");
  rmSync(lockFile(box, job.job_id));
  const caller = box.spawn([BINARY, "start", "--run-key", "k", "--sync", "--", "true"]);
  await until("the caller sleeps", () => readFileSync(`/proc/${caller.pid}/wchan`, "utf8").includes("poll"));
  gate.open();
  const { stdout } = await box.finished(caller);
  expect(JSON.parse(stdout)).toMatchObject({ job_id: job.job_id, status: "FAILED", exit_code: 6 });
});

test("a reused pid proves nothing: another process with the worker's or the target's pid does not count", async () => {
  await using box = new Sandbox();
  const job = await startWaiting(box, "k", new Gate(box));
  await killWorker(job);
  await killAndWait(job.target_pid!);
  // Another process has the pids now; the start times stay those of the dead.
  rmSync(lockFile(box, job.job_id));
  edit(box, `update job_records set worker_pid = ${process.pid}, target_pid = ${process.pid}`);
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", orphan_pids: [] });
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    attempt_no: 2,
  });
});

test("a process with the same pid and start tick as one from before a reboot does not count", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  // The target lives, with the very pid and start tick of the row, but the row is of another boot.
  rmSync(lockFile(box, job.job_id));
  edit(box, "update job_records set boot_id = '00000000-0000-4000-8000-000000000000'");
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", lost_reason: "reboot", orphan_pids: [] });
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    attempt_no: 2,
  });
  gate.open();
});

test("a free lock proves that the worker is gone, whatever the row says about boot and pids", async () => {
  await using box = new Sandbox();
  const job = await startWaiting(box, "k", new Gate(box));
  await killWorker(job);
  await killAndWait(job.target_pid!);
  edit(box, `update job_records set worker_pid = ${process.pid}, pid_namespace = '1', host = 'elsewhere'`);
  expect((await statusOf(box, "k")).status).toBe("LOST");
});

test("an idle worker, after a second, still handles signals, records and cancels", async () => {
  await using box = new Sandbox();
  const ready = join(box.directory, "ready");
  const long = box.json(["start", "--run-key", "ends", "--sync", "--", "sh", "-c", "sleep 1.4; exit 7"]);
  await box.json(["start", "--run-key", "k", "--", "sh", "-c", `sleep 1.3; : >${ready}; exec sleep 1000`]);
  await until("it has slept", () => existsSync(ready));
  await box.json(["cancel", "--run-key", "k"]);
  expect(await statusOf(box, "k")).toMatchObject({ status: "CANCELLED", signal: "SIGTERM" });
  expect(await long).toMatchObject({ status: "FAILED", exit_code: 7 });
});
