/** How a start treats a finished job of the key: --if-succeeded, --if-failed, --if-lost. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Gate, startWaiting } from "../support/gate.ts";
import { killAndWait, statusOf } from "../support/processes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Brings the key's job to each possible end. */
const ENDS: Record<string, (box: Sandbox) => Promise<unknown>> = {
  SUCCEEDED: (box) => box.json(["start", "--run-key", "k", "--sync", "--", "true"]),
  FAILED: (box) => box.json(["start", "--run-key", "k", "--sync", "--", "false"]),
  async CANCELLED(box) {
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    await box.json(["cancel", "--run-key", "k"]);
  },
  async LOST(box) {
    await using gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    for (const pid of [job.worker_pid!, job.target_pid!]) await killAndWait(pid);
  },
};

const OWN_OPTION: Record<string, string> = {
  SUCCEEDED: "--if-succeeded",
  FAILED: "--if-failed",
  CANCELLED: "--if-failed",
  LOST: "--if-lost",
};

describe.each(Object.keys(ENDS))("after %s", (status) => {
  test("only its own option, with return, returns the finished job", async () => {
    await using box = new Sandbox();
    await ENDS[status]!(box);
    const before = await statusOf(box, "k");
    expect(before.status).toBe(status);
    const others = ["--if-succeeded", "--if-failed", "--if-lost"].filter(
      (each) => each !== OWN_OPTION[status],
    );
    const command = ["--", "sh", "-c", "exit 5"];
    const returned = await box.json(["start", "--run-key", "k", OWN_OPTION[status]!, "return", ...command]);
    expect(returned).toMatchObject({
      ...{ accepted: false, existing: true, job_id: before.job_id, status, command_matches: false },
      ...{ exit_code: before.exit_code, finished_at: before.finished_at },
    });

    const policy = [OWN_OPTION[status]!, "rerun", ...others.flatMap((option) => [option, "return"])];
    const anew = await box.json(["start", "--run-key", "k", ...policy, "--sync", ...command]);
    expect(anew).toMatchObject({
      accepted: true,
      existing: false,
      status: "FAILED",
      exit_code: 5,
      attempt_no: 2,
    });
  });

  test("without an option a new job starts", async () => {
    await using box = new Sandbox();
    await ENDS[status]!(box);
    const anew = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    expect(anew).toMatchObject({ existing: false, attempt_no: 2, command_matches: true });
  });
});

test("a key that never ran runs under every policy", async () => {
  await using box = new Sandbox();
  const all = ["--if-succeeded", "return", "--if-failed", "return", "--if-lost", "return"];
  expect(await box.json(["start", "--run-key", "k", ...all, "--sync", "--", "true"])).toMatchObject({
    accepted: true,
    status: "SUCCEEDED",
  });
});

test("--sync --exit-status of a returned job exits with that job's code", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "exit 9"]);
  const again = ["start", "--run-key", "k", "--if-failed", "return", "--sync", "--exit-status", "--", "true"];
  expect((await box.run(again)).code).toBe(9);
});

describe("command_matches", () => {
  test.each([
    [["echo", "a", "b"], true],
    [["echo", "a b"], false],
    [["echo", "a"], false],
    [["echo", "a", "b", ""], false],
    [["/bin/echo", "a", "b"], false],
  ] as const)("%p: %p", async (command, matches) => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "a", "b"]);
    const answer = await box.json<JobAnswer>([
      "start",
      "--run-key",
      "k",
      "--if-succeeded",
      "return",
      "--",
      ...command,
    ]);
    expect(answer).toMatchObject({ command: ["echo", "a", "b"], command_matches: matches, existing: true });
  });
});
