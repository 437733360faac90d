/** An older backup of the database that is put back while an attempt waits for its time. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { attemptsOf, putBackDatabase } from "../support/attempts.ts";
import { Gate } from "../support/gate.ts";
import { jobThat } from "../support/jobs.ts";
import { isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);

test.concurrent(
  "both attempts are put back when the time of the second comes, and it runs once",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const worker = await putBackDatabase(box, gate, false);
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
  const worker = await putBackDatabase(box, gate, true);
  await until("the worker has ended", () => !isAlive(worker));
  const attempts = await attemptsOf(box);
  expect(attempts.map((job) => [job.attempt_no, job.status])).toEqual([[2, "SUCCEEDED"]]);
  expect(readExecutions(box, "k")).toMatchObject({ overlapping: [], ended: [attempts[0]!.job_id] });
});

test.concurrent("the attempt is dropped if its key was started anew meanwhile", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const worker = await putBackDatabase(box, gate, true);
  await using second = new Gate(box, "second");
  await box.json(["start", "--run-key", "k", "--", ...witness(second.wait)]);
  await until("the worker has ended", () => !isAlive(worker));
  second.open();
  const last = await jobThat(box, "k", "has succeeded", (job) => job.status === "SUCCEEDED");
  const { started, overlapping } = readExecutions(box, "k");
  expect(overlapping).toEqual([]);
  expect(started.slice(1)).toEqual([last.job_id]);
});
