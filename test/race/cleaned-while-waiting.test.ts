/**
 * A bug found by the model check: a caller whose job was finished and cleaned before it looked waited forever,
 * spinning.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Gate } from "../support/gate.ts";
import { finishedJob, runningJob } from "../support/jobs.ts";
import { stop } from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

for (const [name, ...words] of [["start", "--sync"], ["run"]] as const) {
  test(`${name} says so if its job was cleaned before it could read the result`, async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const caller = box.spawn([BINARY, name, "--run-key", "k", ...words, "--", ...gate.command]);
    await runningJob(box, "k");
    await stop(caller.pid);
    gate.open();
    await finishedJob(box, "k");
    await until("the job is cleaned", async () => {
      const { deleted } = await box.json<{ deleted: number }>(["clean", "--before", "2999-01-01"]);
      return deleted === 1;
    });
    process.kill(caller.pid, "SIGCONT");

    const { code, stderr } = await box.finished(caller);
    expect(stderr).toMatch(/^orchesjob: job \S+ of run key "k" has ended and was deleted [^\n]+\n$/);
    expect(code).toBe(name === "run" ? 125 : 3);
  });
}
