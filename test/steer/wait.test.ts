/** `wait`, and the callers that wait or follow: they answer as the job ends, and cost next to nothing until then. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { cpuSeconds, killWorker, sleeps } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("wait prints what status prints, when the job has ended", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate, "exit 3");
  const waiting = box.spawn([BINARY, "wait", "--job-id", job.job_id]);
  gate.open();
  const { code, stdout, stderr } = await box.finished(waiting);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const known = await box.run(["status", "--run-key", "k"]);
  expect(stdout).toBe(known.stdout);
  expect(JSON.parse(stdout)).toMatchObject({ job_id: job.job_id, status: "FAILED", exit_code: 3 });
});

describe("--exit-status", () => {
  test.each([
    ["exit 0", 0],
    ["exit 7", 7],
    ["exit 125", 125],
    ["kill -KILL $$", 137],
  ])("%s: %d", async (script, code) => {
    await using box = new Sandbox();
    const words = ["--run-key", "k", "--sync", "--exit-status", "--", "sh", "-c", script];
    expect((await box.run(["start", ...words])).code).toBe(code);
    expect((await box.run(["wait", "--run-key", "k", "--exit-status"])).code).toBe(code);
    expect((await box.run(["wait", "--run-key", "k"])).code).toBe(0);
  });

  test("LOST: 125, because the command's code is unknown", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    const waiting = box.spawn([BINARY, "wait", "--run-key", "k", "--exit-status"]);
    await killWorker(job);
    const { code, stdout } = await box.finished(waiting);
    expect(code).toBe(125);
    expect(JSON.parse(stdout)).toMatchObject({ status: "LOST", exit_code: null });
  });

  test("a job that does not exist, or a bad option: 125, which cannot be confused with a job's code", async () => {
    await using box = new Sandbox();
    expectFailure(await box.run(["wait", "--run-key", "no", "--exit-status"]), 125, "no job of run key");
    expectFailure(await box.run(["wait", "--run-key", "no"]), 3, "no job of run key");
    const bad = ["wait", "--exit-status", "--run-key", "no", "--timeout", "0"];
    expectFailure(await box.run(bad), 125, "--timeout");
  });
});

test("--timeout gives up and says so; the job continues", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "k", gate);
  for (const [more, code] of [
    [[], 1],
    [["--exit-status"], 124],
  ] as const) {
    const result = await box.run(["wait", "--run-key", "k", "--timeout", "1s", ...more]);
    expect(result.code).toBe(code);
    expect((JSON.parse(result.stdout) as JobAnswer).status).toBe("RUNNING");
    expect(result.stderr).toContain("it goes on");
  }
  gate.open();
  expect(await box.json(["wait", "--run-key", "k", "--timeout", "1d"])).toMatchObject({
    status: "SUCCEEDED",
  });
});

describe("waiting costs next to nothing, and the end is noticed", () => {
  const callers: readonly (readonly string[])[] = [
    ["wait", "--run-key", "k"],
    ["start", "--run-key", "k", "--sync", "--", "x"],
    ["run", "--run-key", "k", "--", "x"],
    ["logs", "--run-key", "k", "--follow"],
  ];
  test(callers.map(([verb]) => verb).join(", "), async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    const children = callers.map((words) => box.spawn([BINARY, ...words]));
    // Excludes the start-up of the process, and that it closes the database after half a second.
    await Bun.sleep(2_000);
    const before = children.map(({ pid }) => ({ cpu: cpuSeconds(pid), sleeps: sleeps(pid) }));
    await Bun.sleep(3_000);
    for (const [index, { pid }] of children.entries()) {
      // A tick is 10 ms; a busy loop would use 300 of them.
      expect(cpuSeconds(pid) - before[index]!.cpu).toBeLessThanOrEqual(0.04);
      // A process that polls every second sleeps three times, and an hour of it costs seconds.
      expect(sleeps(pid) - before[index]!.sleeps).toBeLessThanOrEqual(1);
    }
    gate.open();
    for (const child of children) expect((await box.finished(child)).code).toBe(0);
  });
});
