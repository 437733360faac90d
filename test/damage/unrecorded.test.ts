/**
 * Look-ups tell the truth even if it cannot be recorded, and a row that somebody edited by hand does not hide the
 * others.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { edit, openDatabase } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(
  ["strace"],
  "look-ups answer on a full disk, though a loss cannot be recorded; a start is refused",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    // As long as somebody has the database open, opening it writes nothing. Its workers let go of it after a second.
    using database = openDatabase(box);
    database.query("select 1 from jobs").get();
    await killWorker(job);
    await killAndWait(job.target_pid!);
    const full = [
      "strace",
      "-f",
      "-qq",
      "-o",
      "/dev/null",
      "-e",
      "trace=pwrite64",
      "-e",
      "inject=pwrite64:error=ENOSPC",
      BINARY,
    ];
    const status = await box.execute([...full, "status", "--run-key", "k"]);
    expect(status).toMatchObject({ code: 0, stderr: "" });
    // finished_at stays null until the loss is recorded, so that looks do not answer different times.
    const lost = { status: "LOST", lost_reason: "worker_killed", finished_at: null };
    expect(JSON.parse(status.stdout)).toMatchObject(lost);
    expect((await box.execute([...full, "list"])).code).toBe(0);
    expect(await box.execute([...full, "start", "--run-key", "k", "--", "true"])).toMatchObject({
      code: 1,
      stdout: "",
    });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({
      job_id: job.job_id,
      status: "LOST",
      finished_at: expect.stringMatching(/^20/),
    });
  },
);

test("in a copy of the state directory a running job is RUNNING, though no process holds the copy's locks", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await startWaiting(box, "k", gate);
  const copy = join(box.directory, "copy");
  cpSync(box.home, copy, { recursive: true, filter: (path) => !path.includes("/locks/") });
  await box.execute([
    "sh",
    "-c",
    `for f in "$0"/locks/*; do mkfifo "$1/locks/\${f##*/}"; done`,
    box.home,
    copy,
  ]);
  const there = { env: { ORCHESJOB_HOME: copy } };
  expect(await box.json(["status", "--run-key", "k"], there)).toMatchObject({ status: "RUNNING" });
  expect(await box.json(["start", "--run-key", "k", "--", "true"], there)).toMatchObject({ existing: true });
});

test("a row that somebody edited by hand is shown as well as possible, and the others as ever", async () => {
  await using box = new Sandbox();
  for (const key of ["a", "b"])
    await box.json(["start", "--run-key", key, "--sync", "--label", "x=1", "--", "true"]);
  edit(box, "update job_records set command = 'not json', labels = '[', env = '{}' where run_key = 'a'");
  const jobs = await box.json<JobAnswer[]>(["list"]);
  expect(jobs.map((job) => job.command)).toEqual([["true"], ["not json"]]);
  expect((await box.run(["list", "--format", "table"])).code).toBe(0);
  edit(box, "update job_records set command = '[]' where run_key = 'a'");
  expect((await box.run(["rerun", "--run-key", "a"])).code).toBe(4);
});
