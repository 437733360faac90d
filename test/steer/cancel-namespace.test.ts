/** `cancel` across PID namespaces: containers that share the state directory. */
import { expect, setDefaultTimeout } from "bun:test";
import { startContainer } from "../support/container.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { killWorker } from "../support/processes.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const INSIDE = ["unshare", "--pid", "--fork", "--mount-proc", BINARY];

testWith(["root", "unshare"], "a job of this namespace is cancelled from another", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const { code, stdout } = await box.execute([...INSIDE, "cancel", "--run-key", "k"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ status: "CANCELLED", signal: "SIGTERM", survivors: [] });
  expect(isAlive(job.target_pid!)).toBe(false);
});

testWith(
  ["root", "unshare"],
  "a job of a container is cancelled from outside, and from another container",
  async () => {
    await using box = new Sandbox();
    const gate = new Gate(box);
    const container = await startContainer(
      box,
      ["sh", "-c", "setsid sleep 600 & sleep 600"],
      `read line < ${gate.path}`,
    );
    expect(await box.json(["cancel", "--run-key", "k"])).toMatchObject({
      status: "CANCELLED",
      survivors: [],
    });
    const again = ["start", "--run-key", "k", "--", "sleep", "600"];
    expect(await container.run(again)).toMatchObject({ existing: false, status: "RUNNING" });
    const { code, stdout } = await box.execute([...INSIDE, "cancel", "--run-key", "k"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout) as JobAnswer).toMatchObject({ status: "CANCELLED", survivors: [] });
    await container.end();
  },
);

testWith(
  ["root", "unshare"],
  "a dead worker's processes that cancel cannot see are not reported as gone: exit 4",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    await killWorker(job);
    const { code, stdout, stderr } = await box.execute([...INSIDE, "cancel", "--run-key", "k"]);
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ status: "LOST" });
    expect(stderr).toContain("cannot be seen from here");
    expect(isAlive(job.target_pid!)).toBe(true);
    expect(await box.json(["cancel", "--run-key", "k"])).toMatchObject({ status: "LOST", survivors: [] });
    expect(isAlive(job.target_pid!)).toBe(false);
  },
);
