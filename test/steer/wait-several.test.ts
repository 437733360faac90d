/** wait for several jobs: by name or by label, for all or for the first. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { cpuSeconds, hasOpen, killWorker, sleeps } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

async function finish(
  box: Sandbox,
  key: string,
  code = 0,
  ...options: readonly string[]
): Promise<JobAnswer> {
  return box.json(["start", "-k", key, "--sync", ...options, "--", "sh", "-c", `exit ${code}`]);
}

/** Waits until a process sleeps on the lock files of these jobs. */
function watches(
  box: Sandbox,
  { pid }: { readonly pid: number },
  ...jobs: readonly JobAnswer[]
): Promise<unknown> {
  return until("it watches the jobs", () =>
    jobs.every((job) => hasOpen(pid, `${box.home}/locks/${job.job_id}`)),
  );
}

/** What a wait prints that is still to end. */
async function answerOf(box: Sandbox, waiting: ReturnType<Sandbox["spawn"]>) {
  const { code, stdout, stderr } = await box.finished(waiting);
  return { code, stderr, jobs: JSON.parse(stdout) as JobAnswer[] };
}

test("the answer has the jobs in the order asked, as status prints them, when all have ended", async () => {
  await using box = new Sandbox();
  await using first = new Gate(box, "first");
  await using second = new Gate(box, "second");
  const b = await startWaiting(box, "b", first, "exit 3");
  const a = await startWaiting(box, "a", second);
  await finish(box, "c");
  const waiting = box.spawn([BINARY, "wait", "c", "--job-id", b.job_id, "a", "c"]);
  await watches(box, waiting, a, b);
  second.open();
  await box.run(["wait", "a"]);
  expect(waiting.exitCode).toBeNull();
  first.open();
  const { code, stderr, jobs } = await answerOf(box, waiting);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  // Words come before options, and a job that is named twice is one job.
  expect(jobs.map(({ job_id: id }) => id)).toEqual([jobs[0]!.job_id, a.job_id, b.job_id]);
  for (const job of jobs) expect(job).toEqual(await box.json(["status", "--job-id", job.job_id]));
});

test("one name gives an object, a label always an array", async () => {
  await using box = new Sandbox();
  const job = await finish(box, "k", 0, "--label", "batch=n1");
  expect(await box.json<object>(["wait", "k"])).toMatchObject({ job_id: job.job_id });
  expect(await box.json<object>(["wait", "--label", "batch=n1"])).toMatchObject([{ job_id: job.job_id }]);
});

test("--any returns when the first has ended, and leaves the others alone", async () => {
  await using box = new Sandbox();
  await using first = new Gate(box, "first");
  await using second = new Gate(box, "second");
  const a = await startWaiting(box, "a", first);
  const b = await startWaiting(box, "b", second, "exit 4");
  const waiting = box.spawn([BINARY, "wait", "a", "b", "--any", "--exit-status"]);
  await watches(box, waiting, a, b);
  second.open();
  const { code, jobs } = await answerOf(box, waiting);
  expect(code).toBe(4);
  expect(jobs.map(({ status }) => status)).toEqual(["RUNNING", "FAILED"]);
  expect(await box.json<JobAnswer[]>(["wait", "b", "a", "--any"])).toMatchObject([{ run_key: "b" }, {}]);
});

describe("--exit-status", () => {
  test("is 0 if all succeeded, otherwise the code of the first that did not, in the order asked", async () => {
    await using box = new Sandbox();
    for (const [key, code] of Object.entries({ a: 0, b: 7, c: 3, d: 0 })) await finish(box, key, code);
    const codeOf = async (...words: readonly string[]) =>
      (await box.run(["wait", "--exit-status", ...words])).code;
    expect(await codeOf("a", "d")).toBe(0);
    expect(await codeOf("a", "b", "c")).toBe(7);
    expect(await codeOf("c", "b", "a")).toBe(3);
    expect((await box.run(["wait", "a", "b"])).code).toBe(0);
  });

  test("a job that was lost meanwhile, or is not there, is 125", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await finish(box, "a");
    const job = await startWaiting(box, "k", gate);
    const waiting = box.spawn([BINARY, "wait", "a", "k", "--exit-status"]);
    await watches(box, waiting, job);
    await killWorker(job);
    const { code, jobs } = await answerOf(box, waiting);
    expect(code).toBe(125);
    expect(jobs).toMatchObject([{ status: "SUCCEEDED" }, { status: "LOST" }]);
    expectFailure(await box.run(["wait", "a", "no", "--exit-status"]), 125, 'no run key or job id "no"');
    expectFailure(await box.run(["wait", "a", "no"]), 3, 'no run key or job id "no"');
  });
});

test("--timeout says which have not ended, and prints all as they are", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await finish(box, "a", 9);
  await startWaiting(box, "b", gate);
  for (const [more, code] of [
    [[], 1],
    [["--exit-status"], 124],
  ] as const) {
    const result = await box.run(["wait", "a", "b", "--timeout", "1s", ...more]);
    expect(result.code).toBe(code);
    expect(result.stderr).toBe('orchesjob: 1 of 2 jobs have not ended: "b"; they go on\n');
    expect(JSON.parse(result.stdout)).toMatchObject([{ status: "FAILED" }, { status: "RUNNING" }]);
  }
});

test("--label means the newest job of each run key that has it; --status narrows it down", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await finish(box, "old", 0, "--label", "batch=n1");
  await finish(box, "old");
  const failed = await finish(box, "a", 6, "--label", "batch=n1", "--label", "team=x");
  const b = await box.json(["start", "-k", "b", "--label", "batch=n1", "--", ...gate.command]);
  const waiting = box.spawn([BINARY, "wait", "--label", "batch=n1", "--exit-status"]);
  await watches(box, waiting, b);
  gate.open();
  const { code, jobs } = await answerOf(box, waiting);
  expect(code).toBe(6);
  expect(jobs.map(({ run_key: key }) => key)).toEqual(["a", "b"]);
  const narrowed = await box.json<JobAnswer[]>([
    "wait",
    "--label",
    "batch=n1",
    "--label",
    "team=x",
    "--status",
    "failed",
  ]);
  expect(narrowed.map(({ job_id: id }) => id)).toEqual([failed.job_id]);
  const none = await box.run(["wait", "--label", "batch=n2", "--status", "lost"]);
  expectFailure(none, 3, 'no job with label "batch=n2" and status LOST');
});

test("waiting for many costs next to nothing, and the last end is noticed", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const keys = Array.from({ length: 20 }, (_, number) => `k${number}`);
  const started = await Promise.all(keys.map((key) => box.json(["start", "-k", key, "--", ...gate.command])));
  const waiting = box.spawn([BINARY, "wait", ...keys]);
  await watches(box, waiting, ...started);
  await Bun.sleep(500);
  const before = { cpu: cpuSeconds(waiting.pid), sleeps: sleeps(waiting.pid) };
  await Bun.sleep(2_000);
  expect(cpuSeconds(waiting.pid) - before.cpu).toBeLessThanOrEqual(0.04);
  // A process that polls every second sleeps twice.
  expect(sleeps(waiting.pid) - before.sleeps).toBeLessThanOrEqual(1);
  gate.open(keys.length);
  const { jobs } = await answerOf(box, waiting);
  expect(jobs.map(({ run_key: key, status }) => [key, status])).toEqual(
    keys.map((key) => [key, "SUCCEEDED"]),
  );
});

test("Ctrl-C leaves the jobs alone", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const a = await startWaiting(box, "a", gate);
  await finish(box, "b");
  const waiting = box.spawn([BINARY, "wait", "a", "b"]);
  await watches(box, waiting, a);
  process.kill(waiting.pid, "SIGINT");
  const { signal, stderr, stdout } = await box.finished(waiting);
  expect({ signal, stdout }).toEqual({ signal: "SIGINT", stdout: "" });
  expect(stderr).toContain("left 2 jobs, of which 1 have ended; the others go on");
  expect(await box.json(["status", "a"])).toMatchObject({ status: "RUNNING" });
});

test("a job cannot wait for a batch of which it is part", async () => {
  await using box = new Sandbox();
  const words = [
    "start",
    "-k",
    "inner",
    "--label",
    "batch=n1",
    "--sync",
    "--",
    BINARY,
    "wait",
    "--label",
    "batch=n1",
  ];
  const job = await box.json(words);
  expect(job).toMatchObject({ exit_code: 4 });
  expect((await box.run(["logs", "inner", "--stream", "stderr"])).stdout).toContain("from within it");
});

test.each([
  [["wait"], /--run-key KEY or --job-id ID is required/],
  [["wait", "a", "--label", "batch=n1"], /--label cannot be combined with a run key/],
  [["wait", "a", "b", "--attempt", "2"], /--attempt needs one run key/],
  [["wait", "--attempt", "2", "--job-id", "x"], /--attempt needs one run key/],
  [["wait", "a", ""], /run key is empty/],
  [["wait", "--label", "=x"], /--label must be NAME=VALUE.*"=x"/],
  [["wait", "--label", "a=1", "--label", "a=2"], /--label a is given with "1" and "2"/],
  [["wait", "a", "b", "--timeout", "soon"], /--timeout.*"soon"/],
] as const)("%j is refused", async (words, message) => {
  await using box = new Sandbox();
  await finish(box, "a");
  expectFailure(await box.run(words), 2, message);
});
