/** Many callers at once with one run key get one job, and its command runs once. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { finishedJob, runningJob } from "../support/jobs.ts";
import { hasOpen } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const CALLERS = 50;

/** Starts all callers at once; every one must exit 0 with an empty stderr. */
async function rush(box: Sandbox, words: (caller: number) => readonly string[]): Promise<JobAnswer[]> {
  const callers = Array.from({ length: CALLERS }, (_, caller) => box.spawn([BINARY, ...words(caller)]));
  const results = await Promise.all(callers.map((caller) => box.finished(caller)));
  for (const result of results) expect(result).toMatchObject({ code: 0, signal: null, stderr: "" });
  return results.map((result) => JSON.parse(result.stdout) as JobAnswer);
}

function expectOneJob(answers: readonly JobAnswer[]): JobAnswer {
  expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(1);
  const accepted = answers.filter((answer) => answer.accepted);
  expect(accepted).toHaveLength(1);
  for (const answer of answers) expect(answer.existing).toBe(!answer.accepted);
  return accepted[0]!;
}

/** A command that writes a line for each time it runs, and ends when the gate is opened. */
function counted(box: Sandbox, gate: Gate): { command: readonly string[]; runs: () => number } {
  const file = join(box.directory, "runs");
  const [sh, c, script] = gate.command;
  return {
    command: [sh!, c!, `echo run >>"$0"; ${script}`, file],
    runs: () => readFileSync(file, "utf8").split("\n").length - 1,
  };
}

for (const [where, used] of [
  ["a state directory that does not exist yet", false],
  ["a used state directory", true],
] as const) {
  test(`fifty callers at once, in ${where}, get one job that runs once`, async () => {
    await using box = new Sandbox();
    if (used) await box.json(["start", "--run-key", "k", "--sync", "--", "false"]);
    await using gate = new Gate(box);
    const { command, runs } = counted(box, gate);
    const answers = await rush(box, () => ["start", "--run-key", "k", "--", ...command]);
    const job = expectOneJob(answers);
    expect(job.attempt_no).toBe(used ? 2 : 1);
    for (const answer of answers) expect(answer).toMatchObject({ status: "RUNNING", pid: job.target_pid });
    gate.open();
    expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED" });
    expect(runs()).toBe(1);
    expect(await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).toHaveLength(used ? 2 : 1);
    // The workers of the other callers leave nothing either.
    await until("no lock file is left", () => readdirSync(`${box.home}/locks`).length === 0);
    expect(
      (await box.execute(["find", box.home, "-path", "*/logs/*"])).stdout.trim().split("\n"),
    ).toHaveLength(used ? 4 : 2);
  });
}

test("fifty callers at once that wait get one result", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const { command, runs } = counted(box, gate);
  const answers = rush(box, () => ["start", "--run-key", "k", "--sync", "--", ...command]);
  // Opened when every caller waits, so that none of them comes after the end and starts a second job.
  const job = await runningJob(box, "k");
  const lock = `${box.home}/locks/${job.job_id}`;
  // One more: the worker.
  await until("fifty callers wait for it", () => {
    return box.processes().filter((pid) => hasOpen(pid, lock)).length === CALLERS + 1;
  });
  gate.open();
  const accepted = expectOneJob(await answers);
  expect(accepted.job_id).toBe(job.job_id);
  for (const answer of await answers)
    expect(answer).toMatchObject({ mode: "sync", status: "SUCCEEDED", finished_at: accepted.finished_at });
  expect(runs()).toBe(1);
});

test("fifty callers at once with distinct keys all get their own job", async () => {
  await using box = new Sandbox();
  const answers = await rush(box, (caller) => [
    "start",
    "--run-key",
    `key ${caller}`,
    "--sync",
    "--",
    "sh",
    "-c",
    `exit ${caller}`,
  ]);
  answers.forEach((answer, caller) =>
    expect(answer).toMatchObject({ accepted: true, existing: false, exit_code: caller, attempt_no: 1 }),
  );
  expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(CALLERS);
});
