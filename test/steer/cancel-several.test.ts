/** cancel of several jobs: by name, label or status, within one grace period, and each for itself. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob, startReady } from "../support/jobs.ts";
import { hasOpen, killAndWait, killWorker, statusOf, stop } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface CancelAnswer extends JobAnswer {
  readonly survivors: readonly number[];
}

/** Ends by KILL alone. */
const STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

const start = (box: Sandbox, key: string, ...options: readonly string[]) =>
  box.json(["start", "-k", key, ...options, "--", "sleep", "600"]);
const cancel = (box: Sandbox, ...words: readonly string[]) =>
  box.json<CancelAnswer[]>(["cancel", ...words, "--reason", "wrong day"]);
const keysOf = (jobs: readonly JobAnswer[]) => jobs.map(({ run_key: key }) => key);

test("the answer has the jobs in the order asked, each cancelled, and others go on", async () => {
  await using box = new Sandbox();
  const [a, b] = [await start(box, "a"), await start(box, "b")];
  await using gate = new Gate(box);
  await startWaiting(box, "c", gate);
  const answer = await cancel(box, "b", "a", "b");
  expect(answer.map(({ job_id: id }) => id)).toEqual([b.job_id, a.job_id]);
  for (const job of answer)
    expect(job).toMatchObject({ status: "CANCELLED", survivors: [], cancel_reason: "wrong day" });
  expect(await statusOf(box, "c")).toMatchObject({ status: "RUNNING" });
});

test("one name gives an object, a label always an array", async () => {
  await using box = new Sandbox();
  await start(box, "a", "--label", "batch=n1");
  expect(await box.json<object>(["cancel", "a"])).toMatchObject({ run_key: "a", survivors: [] });
  await start(box, "b", "--label", "batch=n1");
  expect(await box.json<object>(["cancel", "--label", "batch=n1"])).toMatchObject([{ run_key: "b" }]);
});

test("the grace periods of all pass at the same time", async () => {
  await using box = new Sandbox();
  const keys = ["a", "b", "c", "d"];
  for (const key of keys) await startReady(box, key, STUBBORN);
  const from = performance.now();
  const answer = await cancel(box, ...keys, "--grace-seconds", "2");
  // One after the other would take 8 seconds.
  expect(performance.now() - from).toBeLessThan(7_000);
  for (const job of answer) expect(job).toMatchObject({ status: "CANCELLED", exit_code: -9, survivors: [] });
});

test("what a killed worker has left, and the job of a worker that does not answer, are ended as well", async () => {
  await using box = new Sandbox();
  const [lost, stopped] = ["lost", "stopped"];
  await killWorker(await startReady(box, lost, STUBBORN));
  await stop((await startReady(box, stopped, STUBBORN)).worker_pid!);
  await startReady(box, "well", STUBBORN);
  const answer = await cancel(box, lost, stopped, "well", "--grace-seconds", "1");
  expect(answer).toMatchObject([
    { status: "LOST", survivors: [] },
    { status: "CANCELLED", survivors: [] },
    { status: "CANCELLED", survivors: [] },
  ]);
  await until("nothing is left", () => box.processes().length === 0, 5);
});

describe("by label and status", () => {
  test("only active jobs, and lost ones that still run, are meant", async () => {
    await using box = new Sandbox();
    const label = ["--label", "batch=n1"];
    await box.json(["start", "-k", "done", ...label, "--sync", "--", "true"]);
    await start(box, "a", ...label);
    await start(box, "b", ...label, "--label", "team=x");
    const lost = await start(box, "lost", ...label);
    await killWorker(lost);
    await start(box, "other", "--label", "batch=n2");
    const dry = await box.run(["cancel", ...label, "--dry-run"]);
    expect(dry.code).toBe(0);
    expect(dry.stderr).toMatch(
      /^orchesjob: Would cancel job \S+ \(a, RUNNING\)\n.* \(b, RUNNING\)\n.* \(lost, LOST\)\n$/,
    );
    expect(keysOf(JSON.parse(dry.stdout) as JobAnswer[])).toEqual(["a", "b", "lost"]);
    expect(await statusOf(box, "a")).toMatchObject({ status: "RUNNING", cancel_reason: null });
    expect(keysOf(await cancel(box, ...label, "--label", "team=x"))).toEqual(["b"]);
    expect(keysOf(await cancel(box, ...label))).toEqual(["a", "lost"]);
    expect(keysOf(await cancel(box, "--status", "running"))).toEqual(["other"]);
    const none = await box.run(["cancel", ...label]);
    expect(none).toMatchObject({ code: 0, stdout: "[]\n" });
    expect(none.stderr).toBe('orchesjob: nothing to cancel: no active job with label "batch=n1"\n');
  });

  test("in a directory that does not exist there is nothing to cancel", async () => {
    await using box = new Sandbox();
    const none = await box.run(["cancel", "--label", "batch=n1"]);
    expect(none).toMatchObject({ code: 0, stdout: "[]\n" });
  });
});

test("a named job that has ended is exit 4, and the others are cancelled all the same", async () => {
  await using box = new Sandbox();
  const done = await box.json(["start", "-k", "done", "--sync", "--", "true"]);
  await start(box, "a");
  const dry = await box.run(["cancel", "done", "a", "--dry-run"]);
  expect(dry.code).toBe(4);
  expect(await statusOf(box, "a")).toMatchObject({ status: "RUNNING" });
  const result = await box.run(["cancel", "done", "a"]);
  expect(result.code).toBe(4);
  expect(result.stderr).toBe(`orchesjob: cannot cancel job ${done.job_id}: it is already SUCCEEDED\n`);
  expect(JSON.parse(result.stdout)).toMatchObject([
    { job_id: done.job_id, status: "SUCCEEDED", survivors: [] },
    { run_key: "a", status: "CANCELLED", survivors: [] },
  ]);
});

test("a name that is not there: exit 3, and nothing is cancelled", async () => {
  await using box = new Sandbox();
  await start(box, "a");
  expectFailure(await box.run(["cancel", "a", "bb"]), 3, 'no run key or job id "bb"');
  expect(await statusOf(box, "a")).toMatchObject({ status: "RUNNING" });
  await cancel(box, "a");
});

test("--dry-run of one job shows it, and ends nothing", async () => {
  await using box = new Sandbox();
  const job = await start(box, "a");
  const dry = await box.run(["cancel", "a", "--dry-run"]);
  expect(dry).toMatchObject({ code: 0, stderr: `orchesjob: Would cancel job ${job.job_id} (a, RUNNING)\n` });
  expect(JSON.parse(dry.stdout)).toMatchObject({ job_id: job.job_id, status: "RUNNING", survivors: [] });
  await cancel(box, "a");
  expect((await box.run(["cancel", "a", "--dry-run"])).code).toBe(4);
});

test("a cancel that is killed in its grace period has asked all: each of them ends all the same", async () => {
  await using box = new Sandbox();
  const jobs = [await startReady(box, "a", STUBBORN), await startReady(box, "b", STUBBORN)];
  const caller = box.spawn([BINARY, "cancel", "a", "b", "--grace-seconds", "2"]);
  await until("it waits for both", () =>
    jobs.every(({ job_id: id }) => hasOpen(caller.pid, `${box.home}/locks/${id}`)),
  );
  await killAndWait(caller.pid);
  for (const key of ["a", "b"]) {
    const job = await finishedJob(box, key);
    expect(job).toMatchObject({ status: "CANCELLED", exit_code: -9, orphan_pids: [] });
  }
});

test.each([
  [["cancel"], /--run-key KEY or --job-id ID is required/],
  [["cancel", "a", "--label", "batch=n1"], /--label cannot be combined with a run key/],
  [["cancel", "a", "--status", "running"], /--status cannot be combined with a run key/],
  [["cancel", "--status", "alive"], /--status must be .*"alive"/],
  [["cancel", "a", "b", "--attempt", "1"], /--attempt needs one run key/],
] as const)("%j is refused, and ends nothing", async (words, message) => {
  await using box = new Sandbox();
  await start(box, "a");
  expectFailure(await box.run(words), 2, message);
  expect(await statusOf(box, "a")).toMatchObject({ status: "RUNNING" });
  await cancel(box, "a");
});
