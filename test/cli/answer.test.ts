/** The answers of start and status: their fields, order and form, and that stdout holds nothing else. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { Gate } from "../support/gate.ts";
import { runningJob } from "../support/jobs.ts";
import { hasOpen } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const JOB_FIELDS = [
  "run_key",
  "job_id",
  "pid",
  "command",
  "status",
  "stdout_file",
  "stderr_file",
  "exit_code",
  "started_at",
  "finished_at",
];
const OUR_FIELDS = [
  "attempt_no",
  "worker_pid",
  "target_pid",
  "signal",
  "error",
  "lost_reason",
  "cancel_reason",
  "rerun_of_job_id",
  "rerun_reason",
  "host",
];

test("start answers with the fields of 1.0.0 in their order, then the newer ones, indented by two", async () => {
  await using box = new Sandbox();
  const result = await box.run(["start", "--run-key", "k", "--sync", "--", "echo", "hello"]);
  const answer = JSON.parse(result.stdout) as JobAnswer;
  expect(result).toMatchObject({ code: 0, stderr: "", stdout: `${JSON.stringify(answer, null, 2)}\n` });
  const fields = Object.keys(answer);
  expect(fields.slice(0, 13)).toEqual(["accepted", "existing", "mode", ...JOB_FIELDS]);
  for (const field of OUR_FIELDS) expect(fields).toContain(field);
  expect(answer).toMatchObject({
    accepted: true,
    existing: false,
    mode: "sync",
    run_key: "k",
    command: ["echo", "hello"],
    status: "SUCCEEDED",
    exit_code: 0,
    signal: null,
    error: null,
    lost_reason: null,
    attempt_no: 1,
    stdout_file: `${box.home}/logs/${answer.job_id}.stdout`,
    stderr_file: `${box.home}/logs/${answer.job_id}.stderr`,
  });
  expect(answer.pid).toBe(answer.target_pid);
});

test("status answers with the same fields, without those that only start has", async () => {
  await using box = new Sandbox();
  const started = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  const { strict_override_used, ...others } = started as JobAnswer & { strict_override_used: boolean };
  expect(strict_override_used).toBe(false);
  const { accepted, existing, mode, strict, command_matches, command_shortened, warnings, ...job } = others;
  expect([accepted, existing, mode, strict, command_matches, command_shortened, warnings]).toEqual([
    true,
    false,
    "sync",
    false,
    true,
    false,
    [],
  ]);
  for (const selector of [
    ["--run-key", "k"],
    ["--job-id", started.job_id],
  ]) {
    const result = await box.run(["status", ...selector]);
    expect(result).toMatchObject({ code: 0, stderr: "", stdout: `${JSON.stringify(job, null, 2)}\n` });
  }
  const all = await box.run(["status", "--run-key", "k", "--all"]);
  expect(all).toMatchObject({ code: 0, stderr: "", stdout: `${JSON.stringify([job], null, 2)}\n` });
});

test("start answers while the command runs, and a second start gets the same job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const first = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  expect(first).toMatchObject({
    accepted: true,
    existing: false,
    mode: "async",
    status: "RUNNING",
    exit_code: null,
    finished_at: null,
    signal: null,
  });
  expect(first.pid).toBe(first.target_pid!);
  const second = await box.json(["start", "--run-key", "k", "--", "true"]);
  expect(second).toMatchObject({
    accepted: false,
    existing: true,
    mode: "async",
    job_id: first.job_id,
    pid: first.pid,
    command: [...gate.command],
  });
});

test("start --sync of an active key waits for the existing job's result", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const first = await box.json(["start", "--run-key", "k", "--", ...gate.command]);
  const second = box.spawn([BINARY, "start", "--run-key", "k", "--sync", "--", "false"]);
  await until("the second caller waits", () => hasOpen(second.pid, `${box.home}/locks/${first.job_id}`));
  gate.open();
  const { code, stdout } = await box.finished(second);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    accepted: false,
    existing: true,
    mode: "sync",
    job_id: first.job_id,
    status: "SUCCEEDED",
    exit_code: 0,
  });
});

test("start --sync exits 0 whatever the job's result, and prints it", async () => {
  await using box = new Sandbox();
  const failed = await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "exit 37"]);
  expect(failed).toMatchObject({ status: "FAILED", exit_code: 37, signal: null, error: null });
  const killed = await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "kill -SEGV $$"]);
  expect(killed).toMatchObject({ status: "FAILED", exit_code: -11, signal: "SIGSEGV", attempt_no: 2 });
  expect(killed.job_id).not.toBe(failed.job_id);
});

test("start --start-timeout 0 answers once the job is accepted, and status knows it from then on", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const answer = await box.json(["start", "--run-key", "k", "--start-timeout", "0", "--", ...gate.command]);
  expect(answer).toMatchObject({ accepted: true, mode: "async" });
  expect(["STARTING", "RUNNING"]).toContain(answer.status);
  // The worker's pid is known before the command runs.
  expect(answer.worker_pid).toBeGreaterThan(1);
  expect(answer.pid).toBe(answer.target_pid ?? answer.worker_pid);
  expect((await runningJob(box, "k")).worker_pid).toBe(answer.worker_pid);
  expect(await box.json(["status", "--job-id", answer.job_id])).toMatchObject({ job_id: answer.job_id });
});

test("status --all prints the newest job first, even if all started at the same instant", async () => {
  await using box = new Sandbox();
  const started: JobAnswer[] = [];
  for (let attempt = 1; attempt <= 4; attempt++)
    started.push(await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", `exit ${attempt}`]));
  await box.json(["start", "--run-key", "other", "--sync", "--", "true"]);
  using database = new Database(`${box.home}/orchesjob.db`);
  database.run("update job_records set started_at = (select min(started_at) from jobs)");
  const all = await box.json<JobAnswer[]>(["status", "--run-key", "k", "--all"]);
  expect(all.map((job) => job.exit_code)).toEqual([4, 3, 2, 1]);
  expect(all.map((job) => job.job_id)).toEqual(started.map((job) => job.job_id).reverse());
  expect(await box.json(["status", "--run-key", "k"])).toEqual(all[0] as never);
});
