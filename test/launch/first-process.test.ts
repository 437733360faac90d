/** `run` as the first process of a container is the command: the container's stop is meant for that, and everything ends with it. */
import { describe, expect, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { testWith } from "../support/needs.ts";
import { childrenOf } from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"];

/** Runs `run` as the first process of a container, and returns when its command has said so; `stop` does as `docker stop`. */
async function startAsFirst(box: Sandbox, script: string, ...options: readonly string[]) {
  const ready = join(box.directory, "ready");
  const command = ["sh", "-c", `touch ${ready}; ${script}`];
  const outside = box.spawn([...CONTAINER, BINARY, "run", "--run-key", "k", ...options, "--", ...command]);
  await until("the command runs", () => existsSync(ready));
  const first = childrenOf(outside.pid)[0]!;
  return {
    stop: (signal: NodeJS.Signals = "SIGTERM") => process.kill(first, signal),
    ended: box.finished(outside),
  };
}

describe("a container's stop", () => {
  testWith(["unshare"], "is heard by the command, and ends it: 143, FAILED with the signal", async () => {
    await using box = new Sandbox();
    const container = await startAsFirst(box, "while :; do read -r line < /dev/zero || sleep 0.01; done");
    container.stop();
    expect(await container.ended).toMatchObject({ code: 143, stdout: "" });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({
      status: "FAILED",
      signal: "SIGTERM",
    });
  });

  testWith(["unshare"], "leaves the command its last words and its own exit code", async () => {
    await using box = new Sandbox();
    const script = "trap 'echo tidied; exit 7' TERM INT; while :; do sleep 0.01; done";
    const container = await startAsFirst(box, script);
    container.stop("SIGINT");
    expect(await container.ended).toMatchObject({ code: 7, stdout: "tidied\n" });
    expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "FAILED", exit_code: 7 });
  });
});

testWith(["unshare"], "the hook runs before the container ends", async () => {
  await using box = new Sandbox();
  const hook = join(box.directory, "hook");
  const container = await startAsFirst(
    box,
    "exit 3",
    "--on-exit",
    `sleep 0.3; echo "$ORCHESJOB_STATUS" > ${hook}`,
  );
  expect(await container.ended).toMatchObject({ code: 3 });
  expect(await Bun.file(hook).text()).toBe("FAILED\n");
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ on_exit_code: 0 });
});

testWith(["unshare"], "a job of another container that it watches goes on", async () => {
  await using box = new Sandbox();
  const gate = join(box.directory, "gate");
  await box.execute(["mkfifo", gate]);
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", `read -r line < ${gate}; exit 5`]);
  const outside = box.spawn([...CONTAINER, BINARY, "run", "--run-key", "k", "--", "true"]);
  const first = await until("run is the first process", () => childrenOf(outside.pid)[0]);
  const handlesSignals = async () =>
    /^SigCgt:\s+\S*[4-7c-f]\S{3}$/m.test(await Bun.file(`/proc/${first}/status`).text());
  await until("it hears signals", handlesSignals);
  process.kill(first, "SIGTERM");
  expect(await box.finished(outside)).toMatchObject({
    code: 143,
    stderr: expect.stringContaining("goes on"),
  });
  await box.execute(["sh", "-c", `echo > ${gate}`]);
  expect(await box.json(["wait", "--job-id", job.job_id])).toMatchObject({ status: "FAILED", exit_code: 5 });
});
