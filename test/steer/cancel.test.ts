/** `cancel` kills with proof: when it succeeds, no process of the job is alive, wherever it went. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { startReady } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, stateOf, statusOf, stop } from "../support/processes.ts";
import { BINARY, type JobAnswer, ROOT, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface CancelAnswer extends JobAnswer {
  readonly survivors: readonly number[];
  readonly cancel_reason: string | null;
}

const cancel = (box: Sandbox, ...more: readonly string[]) =>
  box.json<CancelAnswer>(["cancel", "--run-key", "k", ...more]);

async function expectNothingLeft(box: Sandbox): Promise<void> {
  // The worker takes a moment to end.
  await until("nothing is left", () => box.processes().length === 0, 5);
}

describe("after a cancel no process of the job is alive", () => {
  const sleeper = "sleep 600";
  const FAMILIES: readonly [what: string, script: string][] = [
    ["a child in the background", `${sleeper} & echo ready; wait`],
    ["a child in its own session", `setsid ${sleeper} & echo ready; wait`],
    [
      "a daemon: another session, and its parent is gone",
      `(setsid sh -c "${sleeper} &" &); echo ready; ${sleeper}`,
    ],
    ["a pipeline", `echo ready; ${sleeper} | ${sleeper} | ${sleeper}`],
    ["a child that is stopped", `${sleeper} & kill -STOP $!; echo ready; wait`],
    ["a child whose environment was cleared", `env -i HERE=$PWD setsid ${sleeper} & echo ready; wait`],
    [
      "a daemon whose environment was cleared",
      `(env -i HERE=$PWD PATH=$PATH setsid sh -c "${sleeper} &" &); echo ready; ${sleeper}`,
    ],
    [
      "a daemon that shed environment, session, output and parent, and has only the worker as its subreaper",
      `(env -i HERE=$PWD PATH=$PATH setsid sh -c "${sleeper} >/dev/null 2>&1 &" &); echo ready; ${sleeper}`,
    ],
    ["a new child for each that ends", `echo ready; while :; do sleep 600; done`],
    [
      "a process that starts another on TERM",
      `trap '${sleeper} & exit 0' TERM; echo ready; while :; do sleep 1; done`,
    ],
  ];
  test.each(FAMILIES)("%s", async (_, script) => {
    await using box = new Sandbox();
    const job = await startReady(box, "k", script);
    const answer = await cancel(box, "--reason", "wrong day");
    expect(answer).toMatchObject({ job_id: job.job_id, status: "CANCELLED", survivors: [] });
    expect(answer).toMatchObject({ cancel_reason: "wrong day", lost_reason: null });
    await expectNothingLeft(box);
    expect(await statusOf(box, "k")).toMatchObject({ status: "CANCELLED" });
  });

  testWith(["python3"], "a process whose first thread has ended", async () => {
    await using box = new Sandbox();
    const fixture = join(ROOT, "test/fixtures/first-thread-ends.py");
    const job = await startReady(box, "k", `exec python3 ${fixture}`);
    await until("it looks like a zombie", () => stateOf(job.target_pid!) === "Z");
    expect(await cancel(box)).toMatchObject({ status: "CANCELLED", survivors: [], signal: "SIGTERM" });
    await expectNothingLeft(box);
  });
});

describe("TERM, grace period, KILL", () => {
  test("a command that exits within the grace period keeps its own exit code", async () => {
    await using box = new Sandbox();
    await startReady(box, "k", `trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done`);
    const answer = await cancel(box, "--grace-seconds", "60");
    expect(answer).toMatchObject({ status: "CANCELLED", exit_code: 3, signal: null, survivors: [] });
    expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("ready\nbye\n");
  });

  test("a command that does not exit is killed, with everything else that ignores TERM", async () => {
    await using box = new Sandbox();
    await startReady(box, "k", `trap '' TERM; setsid sleep 600 & echo ready; sleep 600; sleep 600`);
    const answer = await cancel(box, "--grace-seconds", "0.3");
    expect(answer).toMatchObject({ status: "CANCELLED", exit_code: -9, signal: "SIGKILL", survivors: [] });
    await expectNothingLeft(box);
  });

  test("a stopped target receives TERM", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    await stop(job.target_pid!);
    expect(await cancel(box, "--grace-seconds", "60")).toMatchObject({ signal: "SIGTERM", survivors: [] });
  });
});

describe("a job that is not active cannot be cancelled: exit 4, and nothing changes", () => {
  test.each([
    ["SUCCEEDED", "true"],
    ["FAILED", "false"],
  ])("%s", async (status, command) => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", command]);
    expectFailure(await box.run(["cancel", "--run-key", "k"]), 4, `it is already ${status}`);
    expect((await statusOf(box, "k")).status).toBe(status);
  });

  test("CANCELLED, and LOST with nothing left", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    await cancel(box, "--reason", "the first");
    expectFailure(await box.run(["cancel", "--run-key", "k", "--reason", "x"]), 4, "it is already CANCELLED");
    expect(await statusOf(box, "k")).toMatchObject({ cancel_reason: "the first" });
    const lost = await startWaiting(box, "k", gate);
    for (const pid of [lost.worker_pid!, lost.target_pid!]) await killAndWait(pid);
    expectFailure(await box.run(["cancel", "--run-key", "k"]), 4, "it is already LOST");
  });

  test("no such job: exit 3", async () => {
    await using box = new Sandbox();
    expectFailure(await box.run(["cancel", "--run-key", "k"]), 3, "no job of run key");
  });

  test("abort is an alias of cancel", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    expect(await box.json(["abort", "--run-key", "k"])).toMatchObject({ status: "CANCELLED" });
  });
});

test("a second cancel with a shorter grace period takes effect at once", async () => {
  await using box = new Sandbox();
  await startReady(box, "k", `trap '' TERM; echo ready; while :; do sleep 0.05; done`);
  const patient = box.spawn([BINARY, "cancel", "--run-key", "k", "--grace-seconds", "3600"]);
  await until("the first request is recorded", async () => {
    using database = openDatabase(box);
    return database.query("select 1 from jobs where cancel_requested_at is not null").get();
  });
  expect(await cancel(box, "--grace-seconds", "0")).toMatchObject({ status: "CANCELLED", survivors: [] });
  expect((await box.finished(patient)).code).toBe(0);
});
