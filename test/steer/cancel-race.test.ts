/** Several cancels at once, and a job that ends by itself meanwhile: one result, which every answer has. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { injectFaults } from "../support/faults.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { startReady } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { stateOf, statusOf } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const ROUNDS = 25;

test(`a job that ends by itself while it is cancelled has one result, ${ROUNDS} times`, async () => {
  await using box = new Sandbox();
  const seen = new Set<string>();
  let headStart = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await using gate = new Gate(box, `gate-${round}`);
    await startWaiting(box, "k", gate, "exit 7");
    const cancelling = box.spawn([BINARY, "cancel", "--run-key", "k"]);
    // Adjusts itself to the machine, until sometimes the cancel and sometimes the job is first.
    await Bun.sleep(headStart);
    gate.open();
    const { code, stdout, stderr } = await box.finished(cancelling);
    const { status, exit_code: exitCode } = await statusOf(box, "k");
    seen.add(status);
    headStart = code === 0 ? headStart * 0.8 : headStart * 1.3 + 4;
    if (code === 0) {
      expect(status).toBe("CANCELLED");
      expect(JSON.parse(stdout)).toMatchObject({ status, exit_code: exitCode, survivors: [] });
    } else {
      expect({ code, status, exitCode }).toEqual({ code: 4, status: "FAILED", exitCode: 7 });
      expect(stderr).toMatch(/ended before it could be cancelled: FAILED|it is already FAILED/);
    }
  }
  // Otherwise the two never met.
  expect([...seen].sort()).toEqual(["CANCELLED", "FAILED"]);
});

testWith(
  ["strace"],
  "a job that ends by itself while its worker looks for processes keeps its own result",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const { worker_pid: worker, target_pid: target } = await startWaiting(box, "k", gate, "exit 7");
    // First it looks for the processes of the caller.
    const faults = await injectFaults(box, worker!, "openat:signal=SIGSTOP:when=2", "/proc");
    const cancelling = box.spawn([BINARY, "cancel", "--run-key", "k"]);
    await until("the worker looks", () => faults.count() > 0);
    gate.open();
    await until("the command has ended", () => stateOf(target!) === "Z");
    process.kill(worker!, "SIGCONT");
    const { code, stderr } = await box.finished(cancelling);
    await faults.heal();
    expect([code, stderr]).toEqual([
      4,
      expect.stringContaining("ended before it could be cancelled: FAILED"),
    ]);
    expect(await statusOf(box, "k")).toMatchObject({ status: "FAILED", exit_code: 7, orphan_pids: [] });
  },
);

test.each([2, 10])("%d cancels at once: one result, one reason", async (count) => {
  await using box = new Sandbox();
  await startReady(box, "k", `trap 'sleep 0.1; exit 2' TERM; echo ready; while :; do sleep 0.01; done`);
  const reasons = Array.from({ length: count }, (_, index) => `reason ${index}`);
  const results = await Promise.all(
    reasons.map((reason) => box.run(["cancel", "--run-key", "k", "--reason", reason])),
  );
  const job = await box.json<JobAnswer & { cancel_reason: string }>(["status", "--run-key", "k"]);
  expect(job).toMatchObject({ status: "CANCELLED", exit_code: 2 });
  expect(reasons).toContain(job.cancel_reason);
  expect(results.some((result) => result.code === 0)).toBe(true);
  for (const { code, stdout, stderr } of results) {
    if (code === 0)
      expect(JSON.parse(stdout)).toMatchObject({ status: "CANCELLED", cancel_reason: job.cancel_reason });
    else
      expect([code, stderr]).toEqual([
        4,
        `orchesjob: cannot cancel job ${job.job_id}: it is already CANCELLED\n`,
      ]);
  }
});

test("a cancel of a key whose next job starts at once ends the job that it found, and no other", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const first = await startWaiting(box, "k", gate);
  const [cancelled] = await Promise.all([
    box.json(["cancel", "--run-key", "k"]),
    (async () => {
      await box.json(["wait", "--job-id", first.job_id]);
      await startWaiting(box, "k", gate);
    })(),
  ]);
  expect(cancelled).toMatchObject({ job_id: first.job_id, status: "CANCELLED" });
  expect(await statusOf(box, "k")).toMatchObject({ status: "RUNNING", attempt_no: 2 });
  gate.open();
  await box.json(["wait", "--run-key", "k"]);
});
