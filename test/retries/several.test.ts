/** --retries where several jobs are meant: wait goes on to the last attempt, and cancel ends the wait for the next. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { attemptsOf, failing } from "../support/attempts.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { jobThat } from "../support/jobs.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("wait for several means the last attempt of each, and its result", async () => {
  await using box = new Sandbox();
  const retries = ["--retries", "2", "--retry-delay", "0"];
  await using gate = new Gate(box);
  const flaky = ["sh", "-c", `${gate.wait}; test $ORCHESJOB_ATTEMPT -ge 3`];
  const first = await box.json(["start", "-k", "a", ...retries, "--", ...flaky]);
  expect(first).toMatchObject({ attempt_no: 1 });
  await box.json(["start", "-k", "b", "--", "true"]);
  const waiting = box.run(["wait", "b", "a", "--job-id", first.job_id, "--exit-status"]);
  gate.open();
  const waited = await waiting;
  expect(waited.code).toBe(0);
  expect(JSON.parse(waited.stdout)).toMatchObject([
    { run_key: "b", status: "SUCCEEDED" },
    { run_key: "a", status: "SUCCEEDED", attempt_no: 3 },
  ]);
});

test("cancel of several ends the wait for the next attempt, also by the id of a failed one", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", ...failing()]);
  await jobThat(box, "k", "waits for its second attempt", (job) => job.attempt_no === 2);
  const [first] = await attemptsOf(box);
  await startWaiting(box, "b", gate);
  const answer = await box.json<JobAnswer[]>(["cancel", "k", "b", "--job-id", first!.job_id]);
  // The first attempt and the key mean the same run.
  expect(answer).toMatchObject([
    { run_key: "k", status: "CANCELLED", attempt_no: 2 },
    { run_key: "b", status: "CANCELLED" },
  ]);
  expect(await box.json(["status", "--job-id", first!.job_id])).toMatchObject({ status: "FAILED" });
});
