/** A bug found by the model check: a start that lost a race and tried again ran its command in the root directory. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { startBeforeClaim } from "../support/hand-over.ts";
import { stop } from "../support/processes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { finishedJob } from "../support/jobs.ts";

setDefaultTimeout(TIMEOUT_MS);

test("a start that was overtaken and tries again runs its command in the caller's directory", async () => {
  await using box = new Sandbox();
  const overtaken = await startBeforeClaim(box, "k", ["pwd"]);
  await stop(overtaken.launcher.pid);
  overtaken.release();
  const first = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  process.kill(overtaken.launcher.pid, "SIGCONT");
  const answer = JSON.parse((await box.finished(overtaken.launcher)).stdout) as JobAnswer;

  expect(first).toMatchObject({ attempt_no: 1, status: "SUCCEEDED" });
  expect(answer).toMatchObject({ accepted: true, attempt_no: 2 });
  await finishedJob(box, "k");
  expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe(`${box.directory}\n`);
});
