/** `--timeout`: TERM, grace period, KILL for the whole tree, and a true record of it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const start = (box: Sandbox, script: string, timeout = "1") =>
  box.json(["start", "--run-key", "k", "--sync", "--timeout", timeout, "--", "sh", "-c", script]);

test.concurrent("the whole tree ends, and error says after which time", async () => {
  await using box = new Sandbox();
  const daemon = `(env -i HERE=$PWD PATH=$PATH setsid sh -c "sleep 600 &" &)`;
  const answer = await start(box, `echo begun; ${daemon}; setsid sleep 600 & sleep 600`);
  expect(answer).toMatchObject({
    ...{ status: "FAILED", exit_code: -15, signal: "SIGTERM", error: "timed out after 1s" },
    ...{ failure: "timed_out", timeout_seconds: 1, lost_reason: null, cancel_reason: null },
  });
  await until("nothing is left", () => box.processes().length === 0, 5);
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("begun\n");
  const took = Date.parse(answer.finished_at!) - Date.parse(answer.started_at);
  expect(took).toBeGreaterThanOrEqual(1_000);
});

test.concurrent("a command that exits 0 on TERM has timed out all the same", async () => {
  await using box = new Sandbox();
  const answer = await start(box, `trap 'exit 0' TERM; while :; do sleep 0.05; done`);
  expect(answer).toMatchObject({ status: "FAILED", exit_code: 0, error: "timed out after 1s" });
});

test.concurrent("a command that ignores TERM is killed after the grace period", async () => {
  await using box = new Sandbox();
  const answer = await start(box, `trap '' TERM; sleep 600; sleep 600`);
  expect(answer).toMatchObject({
    status: "FAILED",
    signal: "SIGKILL",
    exit_code: -9,
    error: "timed out after 1s",
  });
  await until("nothing is left", () => box.processes().length === 0, 5);
});

test.concurrent("a command that ends before has not timed out", async () => {
  await using box = new Sandbox();
  expect(await start(box, "exit 3", "100d")).toMatchObject({ status: "FAILED", exit_code: 3, error: null });
});

test.concurrent("the timeout also works without a caller", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--timeout", "1", "--", "sleep", "600"]);
  const job = await box.json(["wait", "--run-key", "k"]);
  expect(job).toMatchObject({ status: "FAILED", error: "timed out after 1s" });
});

test.concurrent("--exit-status of a timed out job is 124", async () => {
  await using box = new Sandbox();
  const words = ["--run-key", "k", "--sync", "--exit-status", "--timeout", "1s", "--", "sleep", "600"];
  expect((await box.run(["start", ...words])).code).toBe(124);
  expect((await box.run(["wait", "--run-key", "k", "--exit-status"])).code).toBe(124);
});
