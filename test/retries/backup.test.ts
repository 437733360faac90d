/** An older backup of the database that is put back while an attempt waits for its time. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attemptsOf } from "../support/attempts.ts";
import { Gate } from "../support/gate.ts";
import { jobThat, runningJob } from "../support/jobs.ts";
import { openFiles } from "../support/processes.ts";
import { isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Long enough to put the backup back. */
const PAUSE = "4";

/** Leads a run to its second attempt, which waits, and puts back the database from before the run, or its first attempt. */
async function putBack(box: Sandbox, gate: Gate, isBeforeRun: boolean): Promise<number> {
  const database = join(box.home, "orchesjob.db");
  const backUp = () => {
    using source = new Database(database);
    source.query("vacuum into ?").run(`${database}.old`);
  };
  await box.json(["start", "--run-key", "other", "--sync", "--", "true"]);
  if (isBeforeRun) backUp();
  const command = witness(`test $ORCHESJOB_ATTEMPT -gt 1 || { ${gate.wait}; exit 7; }`);
  const options = ["--request-id", "r", "--retries", "1", "--retry-delay", PAUSE];
  const debug = join(box.directory, "debug");
  const env = { ORCHESJOB_DEBUG: debug };
  await box.json(["start", "--run-key", "k", ...options, "--", ...command], { env });
  await runningJob(box, "k");
  if (!isBeforeRun) backUp();
  gate.open();
  const waiting = await jobThat(box, "k", "waits", (job) => job.attempt_no === 2);
  const worker = waiting.worker_pid!;
  await until("the worker rests", () => / waits \d+ ms for its attempt/.test(readFileSync(debug, "utf8")));
  await until("the database is closed", () =>
    openFiles(worker).every((path) => !path.includes("orchesjob.db")),
  );
  for (const suffix of ["-wal", "-shm"]) rmSync(database + suffix, { force: true });
  copyFileSync(`${database}.old`, `${database}.new`);
  renameSync(`${database}.new`, database);
  return worker;
}

test.concurrent(
  "both attempts are put back when the time of the second comes, and it runs once",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const worker = await putBack(box, gate, false);
    // In that database the first attempt runs.
    expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({ existing: true });
    await until("the worker has ended", () => !isAlive(worker));
    const attempts = await attemptsOf(box);
    expect(attempts.map((job) => [job.status, job.exit_code])).toEqual([
      ["FAILED", 7],
      ["SUCCEEDED", 0],
    ]);
    expect(attempts[0]!.retried_by_job_id).toBe(attempts[1]!.job_id);
    expect(readExecutions(box, "k")).toMatchObject({ overlapping: [], ended: [attempts[1]!.job_id] });
  },
);

test.concurrent("an attempt of a run that the database does not know is put back", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const worker = await putBack(box, gate, true);
  await until("the worker has ended", () => !isAlive(worker));
  const attempts = await attemptsOf(box);
  expect(attempts.map((job) => [job.attempt_no, job.status])).toEqual([[2, "SUCCEEDED"]]);
  expect(readExecutions(box, "k")).toMatchObject({ overlapping: [], ended: [attempts[0]!.job_id] });
});

test.concurrent("the attempt is dropped if its key was started anew meanwhile", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const worker = await putBack(box, gate, true);
  await using second = new Gate(box, "second");
  await box.json(["start", "--run-key", "k", "--", ...witness(second.wait)]);
  await until("the worker has ended", () => !isAlive(worker));
  second.open();
  const last = await jobThat(box, "k", "has succeeded", (job) => job.status === "SUCCEEDED");
  const { started, overlapping } = readExecutions(box, "k");
  expect(overlapping).toEqual([]);
  expect(started.slice(1)).toEqual([last.job_id]);
});
