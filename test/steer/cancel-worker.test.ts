/** `cancel` when the worker is dead, dies, does not answer, or has not begun: one true result each time. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { startBeforeRun } from "../support/hand-over.ts";
import { startReady } from "../support/jobs.ts";
import { killAndWait, killWorker, statusOf, stop } from "../support/processes.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Waits until a job has a cancel request that the worker has not answered. */
function asked(box: Sandbox, job: JobAnswer): Promise<unknown> {
  return until("the cancel is asked for", () => {
    using database = openDatabase(box);
    return database
      .query("select 1 from jobs where job_id = ? and cancel_requested_at is not null")
      .get(job.job_id);
  });
}

test("a dead worker: cancel kills what it left, and the job stays LOST", async () => {
  await using box = new Sandbox();
  const job = await startReady(box, "k", `trap '' TERM; setsid sleep 600 & echo ready; sleep 600; sleep 600`);
  await killWorker(job);
  const answer = await box.json(["cancel", "--run-key", "k", "--grace-seconds", "0"]);
  expect(answer).toMatchObject({
    status: "LOST",
    lost_reason: "worker_killed",
    survivors: [],
    orphan_pids: [],
  });
  expect(box.processes()).toEqual([]);
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
    attempt_no: 2,
  });
});

test("a worker that dies during the cancel: the same", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await stop(job.worker_pid!);
  const cancelling = box.spawn([BINARY, "cancel", "--run-key", "k"]);
  await asked(box, job);
  await killAndWait(job.worker_pid!);
  const { code, stdout } = await box.finished(cancelling);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ status: "LOST", survivors: [], orphan_pids: [] });
  expect(isAlive(job.target_pid!)).toBe(false);
});

test("a job that is STARTING is CANCELLED, and its command never runs", async () => {
  await using box = new Sandbox();
  const trace = join(box.directory, "ran");
  const { job, worker } = await startBeforeRun(box, "k", ["touch", trace]);
  expect((await statusOf(box, "k")).status).toBe("STARTING");
  const cancelling = box.spawn([BINARY, "cancel", "--run-key", "k", "--reason", "too early"]);
  await asked(box, job);
  process.kill(worker, "SIGCONT");
  const { code, stdout } = await box.finished(cancelling);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    status: "CANCELLED",
    exit_code: null,
    cancel_reason: "too early",
    survivors: [],
  });
  await until("the worker has ended", () => !isAlive(worker));
  expect(existsSync(trace)).toBe(false);
});

// These wait ten seconds for the worker's answer: run together, ten in all.
test.concurrent("a stopped worker: cancel does its work, and the key is free", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await stop(job.worker_pid!);
  const answer = await box.json(["cancel", "--run-key", "k", "--grace-seconds", "0"]);
  // The kernel keeps the command's exit status as long as its parent has not called wait(2).
  expect(answer).toMatchObject({ status: "CANCELLED", exit_code: -9, signal: "SIGKILL", survivors: [] });
  expect([job.worker_pid!, job.target_pid!].filter(isAlive)).toEqual([]);
  const next = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  expect(next).toMatchObject({ existing: false, status: "SUCCEEDED" });
});

test.concurrent("a worker that is stopped before it began runs nothing when it continues", async () => {
  await using box = new Sandbox();
  const trace = join(box.directory, "ran");
  const { worker } = await startBeforeRun(box, "k", ["touch", trace]);
  const answer = await box.json(["cancel", "--run-key", "k", "--grace-seconds", "0"]);
  expect(answer).toMatchObject({ status: "CANCELLED", survivors: [] });
  process.kill(worker, "SIGCONT");
  await until("the worker has ended", () => !isAlive(worker));
  expect(existsSync(trace)).toBe(false);
  expect((await statusOf(box, "k")).status).toBe("CANCELLED");
});

test.concurrent("if other processes have the pids of the row by now, none of them is signalled", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await stop(job.worker_pid!);
  // A process is identified by its pid and its start tick (10 ms): after this pause no new process can have both.
  await Bun.sleep(50);
  // Two processes outside the job, each the leader of its group and session, like worker and target.
  const innocents = [0, 1].map(() =>
    Bun.spawn(["sleep", "600"], { detached: true, env: { HERE: box.directory } }),
  );
  try {
    using database = openDatabase(box);
    database.run(
      "update job_records set worker_pid = ?, target_pid = ?",
      innocents.map(({ pid }) => pid),
    );
    const answer = await box.json(["cancel", "--run-key", "k", "--grace-seconds", "0"]);
    expect(answer).toMatchObject({ status: "CANCELLED", survivors: [] });
    expect(isAlive(job.target_pid!)).toBe(false);
    for (const innocent of innocents) expect(isAlive(innocent.pid)).toBe(true);
  } finally {
    for (const innocent of innocents) innocent.kill("SIGKILL");
    await killAndWait(job.worker_pid!);
  }
});

test("a stopped worker whose command has ended by itself is continued, and records the command's own end", async () => {
  await using box = new Sandbox();
  const gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "exit 3");
  await stop(job.worker_pid!);
  gate.open();
  await until("the command ends", () => !isAlive(job.target_pid!));
  const result = await box.run(["cancel", "--run-key", "k", "--grace-seconds", "0"]);
  expect(result.code).toBe(4);
  expect(JSON.parse(result.stdout)).toMatchObject({ status: "FAILED", exit_code: 3, signal: null });
});
