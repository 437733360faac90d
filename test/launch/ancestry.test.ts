/** Calls from within a job: waiting for itself would never end, and printing its own output would fill the disk. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { Gate } from "../support/gate.ts";
import { BINARY, Sandbox, until, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const REFUSED =
  /^orchesjob: cannot (start "me" from within a job of "me"|\w+( for)? job \S+ of run key "me" from within it): /m;

/** Runs a job of key `me` whose command is orchesjob itself; returns how the call ended. */
async function callFromWithin(box: Sandbox, ...words: readonly string[]) {
  const job = await box.json(["start", "--run-key", "me", "--sync", "--", BINARY, ...words]);
  return {
    code: job.exit_code,
    stdout: readFileSync(job.stdout_file, "utf8"),
    stderr: readFileSync(job.stderr_file, "utf8"),
  };
}

describe("a call that waits for its own job is refused", () => {
  test.each([
    ["run", 125, ["run", "--run-key", "me", "--", "true"]],
    ["start", 4, ["start", "--run-key", "me", "--", "true"]],
    ["start --sync", 4, ["start", "--run-key", "me", "--sync", "--", "true"]],
    [
      "start --sync --exit-status",
      125,
      ["start", "--run-key", "me", "--sync", "--exit-status", "--", "true"],
    ],
    ["wait", 4, ["wait", "--run-key", "me"]],
    ["wait --exit-status", 125, ["wait", "--run-key", "me", "--exit-status"]],
    ["logs --follow", 4, ["logs", "--run-key", "me", "--follow"]],
  ] as const)("%s", async (_, code, words) => {
    await using box = new Sandbox();
    const called = await callFromWithin(box, ...words);
    expect(called).toMatchObject({ code, stdout: "" });
    expect(called.stderr).toMatch(REFUSED);
  });
});

test("a cycle of several keys is refused, too", async () => {
  await using box = new Sandbox();
  const inner = [BINARY, "run", "--run-key", "me", "--", "true"];
  const middle = [
    BINARY,
    "run",
    "--run-key",
    "second",
    "--",
    BINARY,
    "run",
    "--run-key",
    "third",
    "--",
    ...inner,
  ];
  const job = await box.json(["start", "--run-key", "me", "--sync", "--", ...middle]);
  expect(job.exit_code).toBe(125);
  expect(readFileSync(job.stderr_file, "utf8")).toMatch(REFUSED);
  expect(await box.json(["status", "--run-key", "third"])).toMatchObject({
    status: "FAILED",
    exit_code: 125,
  });
});

test("a request id that stands for the job itself is refused, too", async () => {
  await using box = new Sandbox();
  const words = ["run", "--run-key", "me", "--request-id", "r", "--", "true"];
  const job = await box.json([
    "start",
    "--run-key",
    "me",
    "--request-id",
    "r",
    "--sync",
    "--",
    BINARY,
    ...words,
  ]);
  expect(job.exit_code).toBe(125);
});

test("calls that do not wait for the job are not refused: status, logs, another key, cancel", async () => {
  await using box = new Sandbox();
  for (const words of [
    ["status", "--run-key", "me"],
    ["logs", "--run-key", "me", "--stream", "stderr"],
    ["run", "--run-key", "another", "--", "true"],
  ])
    expect(await callFromWithin(box, ...words)).toMatchObject({ code: 0, stderr: "" });
  const job = await box.json([
    "start",
    "--run-key",
    "me",
    "--sync",
    "--",
    BINARY,
    "cancel",
    "--run-key",
    "me",
  ]);
  expect(job.status).toBe("CANCELLED");
});

test("a job that prints its own log comes to an end", async () => {
  await using box = new Sandbox();
  const script = 'echo first; "$0" logs --run-key me; "$0" logs --run-key me | cat; echo last';
  const job = await box.json(["start", "--run-key", "me", "--sync", "--", "sh", "-c", script, BINARY]);
  expect(job).toMatchObject({ status: "SUCCEEDED", exit_code: 0 });
  expect(readFileSync(job.stdout_file, "utf8")).toBe("first\nfirst\nfirst\nfirst\nlast\n");
});

test("a process that outlived its job may start the key again", async () => {
  await using box = new Sandbox();
  const inherited = {
    ORCHESJOB_JOB_ID: (await box.json(["start", "--run-key", "me", "--sync", "--", "true"])).job_id,
  };
  const again = await box.json(["start", "--run-key", "me", "--sync", "--", "true"], { env: inherited });
  expect(again).toMatchObject({ existing: false, status: "SUCCEEDED" });
});

test("a deep nest of keys stays within its bounds", async () => {
  await using box = new Sandbox();
  const ids = Array.from({ length: 80 }, (_, index) => `job-${index}`);
  const env = { ORCHESJOB_JOB_ID: ids[0], ORCHESJOB_ANCESTOR_JOB_IDS: ids.slice(1).join(" ") };
  const job = await box.json(
    ["start", "--run-key", "k", "--sync", "--", "printenv", "ORCHESJOB_ANCESTOR_JOB_IDS"],
    { env },
  );
  expect(readFileSync(job.stdout_file, "utf8").trim().split(" ")).toEqual(ids.slice(0, 50));
});

test("a wait for an outer job is refused, with a command that waits for it all the same", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const outer = await box.json(["start", "--run-key", "me", "--", ...gate.command]);
  const env = { ORCHESJOB_JOB_ID: "another", ORCHESJOB_ANCESTOR_JOB_IDS: outer.job_id };
  const refused = await box.run(["wait", "--run-key", "me"], { env });
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  const advice = /if it does not: (env -u \S+) orchesjob …\n$/.exec(refused.stderr)?.[1];
  const waiting = box.execute([...advice!.split(" "), BINARY, "wait", "--run-key", "me"], { env });
  gate.open();
  expect((await waiting).code).toBe(0);
});

test("an overdue hook is in none of the jobs around the command that found it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const seen = `${box.directory}/seen`;
  const hook = `echo "<$ORCHESJOB_ANCESTOR_JOB_IDS>" >${seen}.part; mv ${seen}.part ${seen}`;
  const job = await box.json(["start", "--run-key", "k", "--on-exit", hook, "--", ...gate.command]);
  process.kill(job.worker_pid!, "SIGKILL");
  gate.open();
  const env = { ORCHESJOB_JOB_ID: "inner", ORCHESJOB_ANCESTOR_JOB_IDS: "outer" };
  await until(
    "it is lost",
    async () => (await box.json(["status", "--run-key", "k"], { env })).status === "LOST",
  );
  await until("the hook has run", () => existsSync(seen));
  expect(readFileSync(seen, "utf8")).toBe("<>\n");
});
