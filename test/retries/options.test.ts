/** The options of `--retries` that belong together. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { expectFailure } from "../support/expect.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test.each([
  ["--retry-delay", "1m"],
  ["--retry-backoff", "2"],
  ["--retry-max-delay", "1h"],
  ["--retry-on", "75"],
])("%s alone is refused", async (option, value) => {
  await using box = new Sandbox();
  const result = await box.run(["start", "--run-key", "k", option, value, "--", "true"]);
  expectFailure(result, 2, `${option} needs --retries N`);
});

test("without retries the fields say so", async () => {
  await using box = new Sandbox();
  const none = {
    retries: 0,
    retries_left: 0,
    retry_of_job_id: null,
    retry_at: null,
    retried_by_job_id: null,
  };
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "false"])).toMatchObject(none);
  const words = ["start", "--run-key", "k", "--sync", "--retries", "0", "--", "false"];
  expect(await box.json(words)).toMatchObject({ ...none, attempt_no: 2 });
});
