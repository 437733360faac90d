/** `list` and `status --running`: which jobs they show, in which order, and that each is shown as it is now. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { edit } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const list = (box: Sandbox, ...words: readonly string[]) => box.json<JobAnswer[]>(["list", ...words]);
const keys = async (box: Sandbox, ...words: readonly string[]) =>
  (await list(box, ...words)).map((job) => job.run_key);

const finish = (box: Sandbox, key: string, command: string) =>
  box.json(["start", "--run-key", key, "--sync", "--", command]);

test("a status may be written in lower case", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "bad", "--sync", "--", "false"]);
  await box.json(["start", "--run-key", "good", "--sync", "--", "true"]);
  const keys = async (...words: string[]) =>
    (await box.json<JobAnswer[]>(["list", ...words])).map((job) => job.run_key);
  expect(await keys("--status", "failed")).toEqual(["bad"]);
  expect(await keys("--status", "Failed", "--status=succeeded")).toEqual(["good", "bad"]);
});

test("the newest jobs of all run keys first, with the fields of status", async () => {
  await using box = new Sandbox();
  for (const key of ["b", "a", "c", "a"]) await finish(box, key, "true");
  const jobs = await list(box);
  expect(jobs.map((job) => [job.run_key, job.attempt_no])).toEqual([
    ["a", 2],
    ["c", 1],
    ["a", 1],
    ["b", 1],
  ]);
  expect(jobs[0]).toEqual(await box.json(["status", "--run-key", "a"]));
});

test("--limit is 50 by default", async () => {
  await using box = new Sandbox();
  for (let number = 1; number <= 3; number++) await finish(box, `k${number}`, "true");
  expect(await keys(box, "--limit", "2")).toEqual(["k3", "k2"]);
  expect(await keys(box, "--limit", "1000000")).toEqual(["k3", "k2", "k1"]);
  // Makes a long history at once, instead of by an hour of starts.
  edit(
    box,
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < 60)
     insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, host)
     select 'job-' || i, 'many', i, 'SUCCEEDED', '["true"]', '/', 1, 1, 'h' from n`,
  );
  expect((await list(box)).length).toBe(50);
  expect((await list(box, "--limit", "63")).length).toBe(63);
});

test("--run-key-prefix takes special characters literally", async () => {
  await using box = new Sandbox();
  for (const key of ["a", "a%", "a%1", "a_1", "ab", "A", "日本", "日", "🎉"]) await finish(box, key, "true");
  expect(await keys(box, "--run-key-prefix", "a%")).toEqual(["a%1", "a%"]);
  expect(await keys(box, "--run-key-prefix", "a_")).toEqual(["a_1"]);
  expect(await keys(box, "--run-key-prefix", "a")).toEqual(["ab", "a_1", "a%1", "a%", "a"]);
  expect(await keys(box, "--run-key-prefix", "日")).toEqual(["日", "日本"]);
  expect(await keys(box, "--run-key-prefix", "nothing")).toEqual([]);
});

test("--status may be repeated, and combines with the other filters", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await finish(box, "good", "true");
  await finish(box, "bad", "false");
  await startWaiting(box, "stopped", gate);
  await box.json(["cancel", "--run-key", "stopped"]);
  await startWaiting(box, "active", gate);
  expect(await keys(box, "--status", "SUCCEEDED")).toEqual(["good"]);
  expect(await keys(box, "--status", "FAILED", "--status", "CANCELLED")).toEqual(["stopped", "bad"]);
  expect(await keys(box, "--status", "RUNNING")).toEqual(["active"]);
  expect(await keys(box, "--status", "LOST")).toEqual([]);
  expect(await keys(box, "--status", "FAILED", "--run-key-prefix", "b", "--limit", "1")).toEqual(["bad"]);
  gate.open();
  await box.json(["wait", "--run-key", "active"]);
});

test("--since includes its own instant, --until does not", async () => {
  await using box = new Sandbox();
  const [first, second] = [await finish(box, "first", "true"), await finish(box, "second", "true")];
  expect(await keys(box, "--since", second.started_at)).toEqual(["second"]);
  expect(await keys(box, "--until", second.started_at)).toEqual(["first"]);
  expect(await keys(box, "--since", first.started_at, "--until", second.started_at)).toEqual(["first"]);
  expect(await keys(box, "--since", "2000-01-01", "--until", "2000-01-02")).toEqual([]);
});

describe("a job whose worker died while nobody looked", () => {
  test("is in --status LOST, and not in --status RUNNING", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    for (const key of ["one", "two"]) await killWorker(await startWaiting(box, key, gate));
    expect(await keys(box, "--status", "RUNNING")).toEqual([]);
    expect(await keys(box, "--status", "LOST")).toEqual(["two", "one"]);
    for (const { orphan_pids: pids } of await list(box)) expect(pids.length).toBe(1);
  });

  test("is found by the first command that asks for LOST jobs, however old it is", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await killWorker(await startWaiting(box, "old", gate));
    for (const key of ["x", "y"]) await finish(box, key, "true");
    expect(await keys(box, "--status", "LOST", "--limit", "1")).toEqual(["old"]);
  });

  test("is not in status --running", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const [lost] = [await startWaiting(box, "a", gate), await startWaiting(box, "b", gate)];
    for (const pid of [lost!.worker_pid!, lost!.target_pid!]) await killAndWait(pid);
    const running = await box.json<JobAnswer[]>(["status", "--running"]);
    expect(running.map((job) => job.run_key)).toEqual(["b"]);
  });
});

test("status --running prints the active jobs, oldest first", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  for (const key of ["c", "a", "b"]) await startWaiting(box, key, gate);
  await finish(box, "done", "true");
  const running = await box.json<JobAnswer[]>(["status", "--running"]);
  expect(running.map((job) => job.run_key)).toEqual(["c", "a", "b"]);
  const one = await box.json<JobAnswer>(["status", "--run-key", "c"]);
  // It grows with the time.
  expect(running[0]).toEqual({ ...one, quiet_seconds: expect.any(Number) } as unknown as JobAnswer);
  gate.open();
  for (const { job_id: id } of running) await box.json(["wait", "--job-id", id]);
  expect(await box.json<unknown[]>(["status", "--running"])).toEqual([]);
});

test("without a state directory there are no jobs, and none is made", async () => {
  await using box = new Sandbox();
  expect(await list(box)).toEqual([]);
  expect(await box.json<unknown[]>(["status", "--running"])).toEqual([]);
  expect(existsSync(box.home)).toBe(false);
});
