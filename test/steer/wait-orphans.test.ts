/** `wait --orphans`: waits until no process of the job lives, so that its run key is free. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import {
  findProcesses,
  killAndWait,
  killWorker,
  openFiles,
  statusOf,
  stop,
  watchesProcesses,
} from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const WAIT = ["wait", "--run-key", "k", "--orphans"];

test("of a lost job: prints how its command ended, and the key is free", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await killWorker(await startWaiting(box, "k", gate, "exit 7"));
  const waiting = [box.spawn([BINARY, ...WAIT]), box.spawn([BINARY, ...WAIT, "--exit-status"])];
  await until("a keeper", () => findProcesses(box, "_copy").some(watchesProcesses));
  for (const { pid } of waiting) await until("it waits", () => watchesProcesses(pid));
  gate.open();
  const [plain, passing] = await Promise.all(waiting.map((each) => box.finished(each)));
  expect({ code: plain!.code, stderr: plain!.stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(plain!.stdout)).toMatchObject({ status: "LOST", orphan_pids: [], orphan_exit_code: 7 });
  expect(plain!.stdout).toBe((await box.run(["status", "--run-key", "k"])).stdout);
  // It is not the job's result.
  expect(passing!.code).toBe(125);
  expect((await box.run(["start", "--run-key", "k", "--sync", "--", "true"])).code).toBe(0);
});

test("begins while the job is active, and survives the loss of the worker", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "exit 7");
  const waiting = box.spawn([BINARY, ...WAIT]);
  await until("it waits", () => openFiles(waiting.pid).includes(join(box.home, "locks", job.job_id)));
  await killWorker(job);
  await until("a keeper", () => findProcesses(box, "_copy").some(watchesProcesses));
  gate.open();
  expect(JSON.parse((await box.finished(waiting)).stdout)).toMatchObject({ orphan_exit_code: 7 });
});

test("replaces a keeper that dies meanwhile", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await killWorker(await startWaiting(box, "k", gate, "exit 7"));
  const waiting = [box.spawn([BINARY, ...WAIT]), box.spawn([BINARY, "wait", "k", "k", "--orphans"])];
  const keepers = () => findProcesses(box, "_copy").filter(watchesProcesses);
  for (let round = 0; round < 3; round++) {
    const keeper = await until("one keeper", () => keepers().length === 1 && keepers()[0]!);
    for (const { pid } of waiting) await until("it waits", () => watchesProcesses(pid));
    await killAndWait(keeper);
  }
  await until("another keeper", () => keepers().length > 0);
  gate.open();
  for (const each of waiting) {
    const { code, stdout, stderr } = await box.finished(each);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect([JSON.parse(stdout)].flat()).toMatchObject([{ orphan_exit_code: 7 }]);
  }
});

test("is not held up by a keeper that is stopped: the key is free", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await killWorker(await startWaiting(box, "k", gate, "exit 7"));
  const waiting = box.spawn([BINARY, ...WAIT]);
  const keeper = await until("a keeper", () => findProcesses(box, "_copy").find(watchesProcesses));
  await until("it waits", () => watchesProcesses(waiting.pid));
  await stop(keeper);
  gate.open();
  const { code, stdout } = await box.finished(waiting);
  process.kill(keeper, "SIGCONT");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ orphan_pids: [], orphan_ended_at: null });
});

test("gives up after --timeout, and names the processes", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  await killWorker(job);
  const held = await box.run([...WAIT, "--timeout", "0.2"]);
  expect(held.code).toBe(1);
  expect(JSON.parse(held.stdout)).toMatchObject({ status: "LOST", orphan_pids: [job.target_pid!] });
  expect(held.stderr).toContain(`its command still runs: process ${job.target_pid}`);
  expect((await box.run([...WAIT, "--timeout", "0.2", "--exit-status"])).code).toBe(124);
});

test("is left by a signal", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await killWorker(await startWaiting(box, "k", gate));
  const waiting = box.spawn([BINARY, ...WAIT]);
  await until("a keeper", () => findProcesses(box, "_copy").some(watchesProcesses));
  await until("it waits", () => watchesProcesses(waiting.pid));
  waiting.kill("SIGTERM");
  expect((await box.finished(waiting)).code).toBe(143);
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST" });
});

test("of a job without orphans answers as wait does", async () => {
  await using box = new Sandbox();
  expectFailure(await box.run(WAIT), 3, "no job of run key");
  await box.json(["start", "--run-key", "k", "--sync", "--", "false"]);
  const { code, stdout, stderr } = await box.run([...WAIT, "--exit-status"]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({ status: "FAILED", orphan_ended_at: null });
});

test("of several jobs waits for the processes of each", async () => {
  await using box = new Sandbox();
  await using first = new Gate(box, "first");
  await using second = new Gate(box, "second");
  await killWorker(await startWaiting(box, "a", first, "exit 7"));
  await killWorker(await startWaiting(box, "b", second, "exit 8"));
  const words = ["wait", "a", "b", "--orphans"];
  const held = await box.run([...words, "--timeout", "0.2"]);
  expect(held.code).toBe(1);
  const waiting = box.spawn([BINARY, ...words]);
  await until("both are kept", () => {
    const keepers = findProcesses(box, "_copy").filter(watchesProcesses);
    return (
      keepers.length === 2 ||
      keepers.some((pid) => openFiles(pid).filter((name) => name.includes("pidfd")).length === 4)
    );
  });
  second.open();
  await until("the second is recorded", async () => {
    const job = await box.json<{ orphan_exit_code: number | null }>(["status", "b"]);
    return job.orphan_exit_code === 8;
  });
  first.open();
  const { code, stdout } = await box.finished(waiting);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject([{ orphan_exit_code: 7 }, { orphan_exit_code: 8 }]);
});
