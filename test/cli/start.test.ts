import { expect, setDefaultTimeout, test } from "bun:test";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

test("start --sync answers with the result", async () => {
  await using box = new Sandbox();
  const answer = await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "echo out; exit 3"]);
  expect(answer).toMatchObject({
    accepted: true,
    existing: false,
    mode: "sync",
    status: "FAILED",
    exit_code: 3,
    attempt_no: 1,
  });
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("out\n");
});
