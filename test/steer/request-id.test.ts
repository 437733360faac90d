/** A run key and a --request-id give one job, whatever has become of it since, so that a retry at any time is safe. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const COUNT = "echo ran >> runs; echo out; exit 3";
const words = (id: string, script = COUNT) => [
  ...["--run-key", "k", "--request-id", id, "--", "sh", "-c", script],
];

function runs(box: Sandbox): number {
  const path = join(box.directory, "runs");
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
}

test("the whole story: accepted, the answer lost, the job ends, the retry gets its result; the next id runs again", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `${gate.wait}; ${COUNT}`;
  const launcher = box.spawn([BINARY, "start", "--sync", ...words("2026-05-01", script)]);
  const accepted = await until("the job is accepted", async () => {
    const { code, stdout } = await box.run(["status", "--run-key", "k"]);
    return code === 0 && (JSON.parse(stdout) as JobAnswer);
  });
  launcher.kill("SIGKILL");
  expect((await box.finished(launcher)).stdout).toBe("");
  gate.open();
  await finishedJob(box, "k");

  const retry = await box.json(["start", "--sync", ...words("2026-05-01", script)]);
  expect(retry).toMatchObject({
    ...{ job_id: accepted.job_id, accepted: false, existing: true, command_matches: true },
    ...{ request_id: "2026-05-01", status: "FAILED", exit_code: 3 },
  });
  expect(await box.run(["run", ...words("2026-05-01", script)])).toMatchObject({ code: 3, stdout: "out\n" });
  expect(runs(box)).toBe(1);

  const nextDay = await box.json(["start", "--sync", ...words("2026-05-02", script)]);
  expect(nextDay).toMatchObject({ existing: false, attempt_no: 2, request_id: "2026-05-02" });
  // Yesterday's id still means yesterday's job, though the key has a newer one.
  expect((await box.json(["start", ...words("2026-05-01", script)])).job_id).toBe(accepted.job_id);
  expect(runs(box)).toBe(2);
});

test("with another command the same id is refused with exit 4, naming the job", async () => {
  await using box = new Sandbox();
  const { job_id: id } = await box.json(["start", "--sync", ...words("r")]);
  expectFailure(await box.run(["start", ...words("r", "true")]), 4, id);
  expectFailure(await box.run(["run", ...words("r", "true")]), 125, id);
  expect((await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).length).toBe(1);
});

test("the same id under another run key is another request", async () => {
  await using box = new Sandbox();
  const answers = await Promise.all(
    ["a", "b"].map((key) =>
      box.json(["start", "--run-key", key, "--request-id", "r", "--sync", "--", "true"]),
    ),
  );
  expect(answers.map((answer) => answer.existing)).toEqual([false, false]);
});

test("fifty at once with one id: one job, which ran once, also for callers that come when it has ended", async () => {
  await using box = new Sandbox();
  const callers = await Promise.all(
    Array.from({ length: 50 }, () => box.json(["start", "--sync", ...words("r")])),
  );
  expect(new Set(callers.map((answer) => answer.job_id)).size).toBe(1);
  expect(callers.filter((answer) => answer.accepted).length).toBe(1);
  for (const answer of callers) expect(answer).toMatchObject({ status: "FAILED", exit_code: 3 });
  expect(runs(box)).toBe(1);
});

test("an id that came while the key was active means that job from then on", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const command = ["--", ...gate.command];
  const first = await box.json(["start", "--run-key", "k", ...command]);
  const attached = ["start", "--run-key", "k", "--request-id", "r", "--sync", ...command];
  const waiting = box.spawn([BINARY, ...attached]);
  await until("the id is recorded", () => {
    using database = openDatabase(box);
    return database.query("select 1 from requests where request_id = 'r'").get();
  });
  gate.open();
  expect(JSON.parse((await box.finished(waiting)).stdout)).toMatchObject({ job_id: first.job_id });
  expect(await box.json(attached)).toMatchObject({ job_id: first.job_id, existing: true });
});

test("such an id stands for its command: with the same one it gives the same answer, with another exit 4", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const late = ["--run-key", "k", "--request-id", "late", "--"];
  const ask = () => box.json(["start", ...late, "true"]);
  const refused = new RegExp(
    `id "late" of run key "k" belongs to job ${job.job_id}, which it was given for with another`,
  );
  const expected = { job_id: job.job_id, existing: true, command_matches: false };
  expect(await ask()).toMatchObject(expected);
  for (const isOver of [false, true]) {
    if (isOver) gate.open();
    if (isOver) await finishedJob(box, "k");
    expect(await ask()).toMatchObject(expected);
    expectFailure(await box.run(["start", ...late, "false"]), 4, refused);
    // Not even that of the job.
    expectFailure(await box.run(["run", ...late, ...job.command]), 125, refused);
  }
  expect(await box.json<unknown[]>(["status", "--run-key", "k", "--all"])).toHaveLength(1);
});

test("of many callers at once with one id and two commands, those with one of them get the active job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "k", gate);
  const ask = (command: string) => box.run(["start", "--run-key", "k", "--request-id", "r", "--", command]);
  const commands = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? "true" : "false"));
  const codes = await Promise.all(commands.map(async (command) => `${command} ${(await ask(command)).code}`));
  const winner = codes.includes("true 0") ? "true" : "false";
  const loser = winner === "true" ? "false" : "true";
  expect(new Set(codes)).toEqual(new Set([`${winner} 0`, `${loser} 4`]));
});

test("an id takes precedence over every policy", async () => {
  await using box = new Sandbox();
  const first = await box.json(["start", "--sync", ...words("r")]);
  for (const policy of [["--if-failed", "rerun"], ["--strict"]])
    expect((await box.json(["start", ...policy, ...words("r")])).job_id).toBe(first.job_id);
});

test("a cancelled and a lost job are the request's answer as well", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const request = ["start", "--run-key", "k", "--request-id", "r", "--", ...gate.command];
  const job = await box.json(request);
  await box.json(["cancel", "--run-key", "k"]);
  expect(await box.json(request)).toMatchObject({ job_id: job.job_id, status: "CANCELLED", existing: true });
});

test("when its job was cleaned, an id runs again", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--sync", ...words("r")]);
  await box.run(["clean", "--before", "2100-01-01"]);
  expect(await box.json(["start", "--sync", ...words("r")])).toMatchObject({ existing: false });
  expect(runs(box)).toBe(2);
});
