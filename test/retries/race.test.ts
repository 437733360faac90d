/** Cancels and starts that come at any moment of a run whose attempts fail one after the other, without a pause. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { attemptsOf } from "../support/attempts.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);

const FAST = ["--run-key", "k", "--retries", "1000", "--retry-delay", "0"];
const START = ["start", "--start-timeout", "0", ...FAST, "--", ...witness("exit 3")];

test("a cancel at any moment ends the run: afterwards nothing of it begins", async () => {
  await using box = new Sandbox();
  for (let round = 1; round <= 12; round++) {
    const { job_id } = await box.json(START);
    const count = readExecutions(box, "k").started.length;
    await until("the run goes on", () => readExecutions(box, "k").started.length >= count + (round % 4));
    // By the key, or by the id of the first attempt.
    const selector = round % 2 === 0 ? ["--run-key", "k"] : ["--job-id", job_id];
    const cancelled = await box.run(["cancel", ...selector, "--grace-seconds", "60"]);
    // 4: the attempt had failed by itself before it could be ended. No other one follows it.
    expect([0, 4], cancelled.stderr).toContain(cancelled.code!);
    const [last] = (await attemptsOf(box)).slice(-1);
    expect(["CANCELLED", "FAILED"]).toContain(last!.status);
    await until("nothing runs", () => box.processes().length === 0);
    expect((await attemptsOf(box)).at(-1)!.job_id).toBe(last!.job_id);
  }
  expect(readExecutions(box, "k").overlapping).toEqual([]);
  expect(readdirSync(join(box.home, "locks"))).toEqual([]);
});

test("starts at any moment of a run all get the run, and none begins another", async () => {
  await using box = new Sandbox();
  const first = await box.json(START);
  const start = async (): Promise<JobAnswer> =>
    box.json(["start", "--run-key", "k", "--start-timeout", "0", "--", "true"]);
  for (let round = 0; round < 8; round++) {
    const answers = await Promise.all([start(), start(), start()]);
    for (const answer of answers) expect(answer).toMatchObject({ existing: true, command_matches: false });
  }
  await box.run(["cancel", "--run-key", "k"]);
  const attempts = await attemptsOf(box);
  expect(attempts[0]!.job_id).toBe(first.job_id);
  for (const [index, job] of attempts.slice(1).entries())
    expect(job.retry_of_job_id).toBe(attempts[index]!.job_id);
  expect(readExecutions(box, "k").overlapping).toEqual([]);
});
