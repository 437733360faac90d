/** `rerun`: a finished job's command, directory and options once more, as a new job that names the old one. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { killAndWait, killWorker, statusOf } from "../support/processes.ts";

setDefaultTimeout(TIMEOUT_MS);

test("the command, the directory, the environment options, the labels and the timeout are the job's own", async () => {
  await using box = new Sandbox();
  const directory = join(box.directory, "a b");
  mkdirSync(directory);
  const options = [
    "--env",
    "GIVEN=by option\n2",
    "--label",
    "team=billing",
    "--timeout",
    "1h",
    "--cwd",
    "a b",
  ];
  const script = 'pwd; echo "$GIVEN"; echo "${CALLER-none}"; printf "[%s]" "$@"';
  const first = await box.json(
    ["start", "--run-key", "k", "--sync", ...options, "--", "sh", "-c", script, "sh", "", "*", "x  y"],
    { env: { CALLER: "first" } },
  );
  const again = await box.json(["rerun", "--run-key", "k", "--sync", "--reason", "disk was full"], {
    cwd: "/",
    env: { CALLER: "second" },
  });
  expect(again).toMatchObject({
    ...{ accepted: true, existing: false, mode: "sync", status: "SUCCEEDED", attempt_no: 2 },
    ...{ rerun_of_job_id: first.job_id, rerun_reason: "disk was full", labels: { team: "billing" } },
    ...{ timeout_seconds: 3600, command: first.command, cwd: directory },
  });
  const output = async (job: string) => (await box.run(["logs", "--job-id", job])).stdout;
  const expected = (caller: string) => `${realpathSync(directory)}\nby option\n2\n${caller}\n[][*][x  y]`;
  expect(await output(first.job_id)).toBe(expected("first"));
  expect(await output(again.job_id)).toBe(expected("second"));
});

test("without --cwd the directory in which the job was started is used again", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "pwd"]);
  await box.json(["rerun", "--run-key", "k", "--sync"], { cwd: "/" });
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe(`${box.directory}\n`);
});

test("an older job by its id, and a job that was a rerun itself", async () => {
  await using box = new Sandbox();
  const [one, two] = [
    await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "1"]),
    await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "2"]),
  ];
  const three = await box.json(["rerun", "--job-id", one.job_id, "--sync"]);
  expect(three).toMatchObject({ command: ["echo", "1"], attempt_no: 3, rerun_of_job_id: one.job_id });
  const four = await box.json(["rerun", "--run-key", "k", "--sync"]);
  expect(four).toMatchObject({ command: ["echo", "1"], attempt_no: 4, rerun_of_job_id: three.job_id });
  expect(three).toMatchObject({ rerun: true, strict_override_used: false });
  // A plain start names the job before it, as the Python 1.1 does.
  expect(one).toMatchObject({ rerun_of_job_id: null });
  expect(two).toMatchObject({ rerun_of_job_id: one.job_id, rerun_reason: null });
  expect(two).not.toHaveProperty("rerun");
});

test("without --sync it answers when the command runs", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "k", gate);
  gate.open(1);
  await box.json(["wait", "--run-key", "k"]);
  expect(await box.json(["rerun", "--run-key", "k"])).toMatchObject({ mode: "async", status: "RUNNING" });
  gate.open();
  await box.json(["wait", "--run-key", "k"]);
});

describe("exit 4, and no new job", () => {
  test("while the job, or a newer one of its key, is active", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const done = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    const active = await startWaiting(box, "k", gate);
    for (const selector of [
      ["--run-key", "k"],
      ["--job-id", active.job_id],
      ["--job-id", done.job_id],
    ])
      expectFailure(await box.run(["rerun", ...selector]), 4, active.job_id);
    expect((await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).length).toBe(2);
    gate.open();
    await box.json(["wait", "--run-key", "k"]);
  });

  test("while a process of the lost job lives; then it runs", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    await killWorker(job);
    expectFailure(await box.run(["rerun", "--run-key", "k"]), 4, String(job.target_pid));
    expect(isAlive(job.target_pid!)).toBe(true);
    await killAndWait(job.target_pid!);
    gate.open();
    expect(await box.json(["rerun", "--run-key", "k", "--sync"])).toMatchObject({
      status: "SUCCEEDED",
      rerun_of_job_id: job.job_id,
    });
  });

  test("ten at once are one rerun", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    gate.open(1);
    await box.json(["wait", "--run-key", "k"]);
    const results = await Promise.all(Array.from({ length: 10 }, () => box.run(["rerun", "--run-key", "k"])));
    expect(results.map((result) => result.code).sort()).toEqual([0, ...Array<number>(9).fill(4)]);
    gate.open();
    await until("it has ended", async () => (await statusOf(box, "k")).status === "SUCCEEDED");
  });
});

test("no such job: exit 3", async () => {
  await using box = new Sandbox();
  expectFailure(await box.run(["rerun", "--run-key", "k"]), 3, "no job of run key");
});

test("a directory that no longer exists fails the launch, and the job says so", async () => {
  await using box = new Sandbox();
  mkdirSync(join(box.directory, "gone"));
  await box.json(["start", "--run-key", "k", "--sync", "--cwd", "gone", "--", "true"]);
  await box.execute(["rmdir", "gone"]);
  const answer = await box.json(["rerun", "--run-key", "k", "--sync"]);
  expect(answer).toMatchObject({ status: "FAILED", exit_code: -1 });
  expect(answer.error).toContain(join(box.directory, "gone"));
});
