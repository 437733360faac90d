/**
 * Processes that cannot be ended, or not easily: orchesjob never says that they are gone, and their key does not
 * become free.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { injectFaults } from "../support/faults.ts";
import { Frozen } from "../support/frozen.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { startReady } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { stateOf, statusOf } from "../support/processes.ts";
import {
  BINARY,
  type Finished,
  isAlive,
  type JobAnswer,
  ROOT,
  Sandbox,
  TIMEOUT_MS,
  until,
} from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const START = ["start", "--run-key", "k", "--sync", "--", "true"] as const;

const cancel = (box: Sandbox, grace: string) =>
  box.run(["cancel", "--run-key", "k", "--grace-seconds", grace]);

function survivorsOf({ stdout }: Finished): readonly number[] {
  return (JSON.parse(stdout) as { survivors: number[] }).survivors;
}

testWith(
  ["fsfreeze"],
  "a process that the kernel holds (state D) keeps its key, and its end is recorded",
  async () => {
    await using box = new Sandbox();
    await using frozen = await Frozen.create(box);
    const job = await startReady(box, "k", `echo ready; echo x > ${frozen.path}/file`);
    await until("it waits in the kernel", () => stateOf(job.target_pid!) === "D");
    const cancelled = await cancel(box, "0");
    expect(cancelled.code).toBe(4);
    expect(survivorsOf(cancelled)).toEqual([job.target_pid!]);
    expect(cancelled.stderr).toMatch(/process \d+ waits in the kernel \(state D\) .*or a reboot, ends it/);
    const ended = { status: "CANCELLED", exit_code: null, orphan_pids: [job.target_pid!] };
    expect(await statusOf(box, "k")).toMatchObject(ended);
    const refused = await box.run(START);
    expect(refused).toMatchObject({ code: 4, stdout: "" });
    expect(refused.stderr).toMatch(
      /was cancelled, but its command still runs: .*state D.*waits in the kernel/,
    );
    expect(isAlive(job.worker_pid!)).toBe(true);
    await frozen.thaw();
    await until("the worker leaves", () => !isAlive(job.worker_pid!));
    const told = { status: "CANCELLED", exit_code: -9, signal: "SIGKILL", orphan_pids: [] };
    expect(await statusOf(box, "k")).toMatchObject(told);
    expect((await box.run(START)).code).toBe(0);
  },
);

testWith(
  ["strace"],
  "a worker that may not signal says so at once, and a command that may signals the rest",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await startWaiting(box, "k", gate);
    const faults = await injectFaults(box, job.worker_pid!, "pidfd_send_signal,kill:error=EPERM");
    const cancelled = await cancel(box, "3600");
    expect(cancelled.code).toBe(4);
    expect(survivorsOf(cancelled)).toEqual([job.target_pid!]);
    expect(await statusOf(box, "k")).toMatchObject({ status: "CANCELLED", exit_code: null, signal: null });
    expect((await box.run(START)).code).toBe(4);
    const filter = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=kill,pidfd_send_signal:error=EPERM"];
    const refused = await box.execute([...filter, BINARY, ...START]);
    expect(refused.stderr).toEndWith(
      process.getuid?.() === 0
        ? `; wait for its end, or end it: kill ${job.target_pid} from a shell that is allowed to signal it (this one is not)\n`
        : `; wait for its end, or end it: sudo kill ${job.target_pid}\n`,
    );
    await faults.heal();
    const again = await cancel(box, "3600");
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(survivorsOf(again)).toEqual([]);
    await until("the worker leaves", () => !isAlive(job.worker_pid!));
    expect(await statusOf(box, "k")).toMatchObject({
      status: "CANCELLED",
      exit_code: -15,
      signal: "SIGTERM",
    });
    expect((await box.run(START)).code).toBe(0);
  },
);

testWith(["strace"], "if seccomp refuses only pidfd_send_signal, the worker uses kill", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "k", gate);
  const faults = await injectFaults(box, job.worker_pid!, "pidfd_send_signal:error=EPERM");
  const cancelled = await cancel(box, "3600");
  expect(cancelled).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(cancelled.stdout)).toMatchObject({
    status: "CANCELLED",
    signal: "SIGTERM",
    survivors: [],
  });
  await faults.heal();
});

testWith(["perl"], "cancel catches processes that come and go faster than /proc can be read", async () => {
  await using box = new Sandbox();
  const steps = join(box.directory, "steps");
  const chain = `env -i perl ${join(ROOT, "test/fixtures/outrun.pl")} ${steps}`;
  const job = await box.json(["start", "--run-key", "k", "--", "sh", "-c", `${chain}; exec sleep 600`]);
  await until("the chain runs", () => existsSync(steps) && readFileSync(steps, "utf8") !== "");
  const cancelled = await cancel(box, "0.2");
  const last = readFileSync(steps, "utf8");
  expect(cancelled).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(cancelled.stdout)).toMatchObject({ status: "CANCELLED", survivors: [] });
  // Each lives for a millisecond; the worker does not leave as long as one does.
  await until("the worker leaves", () => !isAlive(job.worker_pid!));
  expect(readFileSync(steps, "utf8")).toBe(last);
  expect(isAlive(Number(last))).toBe(false);
});

test("the worker of a job that was started from within is no survivor", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const inner = `"$0" start --run-key inner -- sh -c '${gate.wait}'`;
  const outer = await box.json([
    ...["start", "--run-key", "k", "--", "sh", "-c", `${inner}; sleep 600`],
    process.env["ORCHESJOB_BINARY"] ?? join(ROOT, "dist/orchesjob"),
  ]);
  await until("the inner job runs", async () => (await box.run(["status", "--run-key", "inner"])).code === 0);
  const cancelled = await cancel(box, "0");
  expect(cancelled).toMatchObject({ code: 0, stderr: "" });
  await until("the outer worker leaves", () => !isAlive(outer.worker_pid!));
  expect((await statusOf(box, "inner")).status).toBe("RUNNING");
  expect((await box.run(START)).code).toBe(0);
  gate.open();
  await box.json(["wait", "--run-key", "inner"]);
});

test("a command that sets the job id of another job is ended all the same", async () => {
  await using box = new Sandbox();
  const job = await box.json<JobAnswer>([
    ...["start", "--run-key", "k", "--", "env", "ORCHESJOB_JOB_ID=another", "sleep", "600"],
  ]);
  await until("it has the other's name", () =>
    readFileSync(`/proc/${job.target_pid}/environ`, "utf8").includes("JOB_ID=another"),
  );
  const cancelled = await cancel(box, "60");
  expect(cancelled).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(cancelled.stdout)).toMatchObject({ status: "CANCELLED", signal: "SIGTERM" });
});
