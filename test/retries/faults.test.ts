/** Retries on a full disk, without execve, and with processes that cannot be ended: nothing is lost, nothing meets. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync } from "node:fs";
import { attemptsOf } from "../support/attempts.ts";
import { injectFaults } from "../support/faults.ts";
import { Gate } from "../support/gate.ts";
import { finishedJob, jobThat, runningJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { statusOf } from "../support/processes.ts";
import { BINARY, isAlive, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);

const RETRY = ["--run-key", "k", "--retries", "1", "--retry-delay", "0"];

testWith(
  ["strace"],
  "on a full disk the attempt stays RUNNING until both records can be written",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const command = witness(`test $ORCHESJOB_ATTEMPT -gt 1 || { ${gate.wait}; exit 7; }`);
    const job = await box.json(["start", ...RETRY, "--", ...command]);
    const faults = await injectFaults(box, job.worker_pid!, "pwrite64,ftruncate,fdatasync:error=ENOSPC");
    gate.open();
    await until("writes fail", () => faults.count() > 3);
    expect(await statusOf(box, "k")).toMatchObject({ status: "RUNNING", attempt_no: 1 });
    expect(await box.json(["start", "--run-key", "k", "--", "true"])).toMatchObject({ existing: true });
    await faults.heal();
    await jobThat(box, "k", "has succeeded", (seen) => seen.status === "SUCCEEDED" && seen.attempt_no === 2);
    expect((await attemptsOf(box)).map((seen) => seen.exit_code)).toEqual([7, 0]);
    expect(readExecutions(box, "k").overlapping).toEqual([]);
  },
);

testWith(
  ["strace"],
  "a lock file that cannot be created delays the next attempt, and the key stays taken",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `test $ORCHESJOB_ATTEMPT -gt 1 || { ${gate.wait}; exit 7; }`;
    const job = await box.json(["start", ...RETRY, "--", "sh", "-c", script]);
    const faults = await injectFaults(box, job.worker_pid!, "mknodat,mknod:error=ENOSPC");
    gate.open();
    await until("it cannot create the file", () => faults.count() > 1);
    expect(await statusOf(box, "k")).toMatchObject({ status: "RUNNING", attempt_no: 1 });
    await faults.heal();
    await jobThat(box, "k", "has succeeded", (seen) => seen.status === "SUCCEEDED" && seen.attempt_no === 2);
  },
);

testWith(
  ["strace"],
  "a cancel during such a delay ends the run, and the attempt keeps its own result",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const job = await box.json(["start", ...RETRY, "--", "sh", "-c", `${gate.wait}; exit 7`]);
    const faults = await injectFaults(box, job.worker_pid!, "mknodat,mknod:error=ENOSPC");
    gate.open();
    await until("it cannot create the file", () => faults.count() > 1);
    const cancelling = box.run(["cancel", "--run-key", "k"]);
    expect(await finishedJob(box, "k")).toMatchObject({ status: "FAILED", exit_code: 7, attempt_no: 1 });
    await faults.heal();
    expect((await cancelling).code).toBe(4);
    expect(await attemptsOf(box)).toHaveLength(1);
  },
);

testWith(
  ["strace"],
  "a worker that cannot execute itself anew ends the run: FAILED, not launched",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const hook = 'echo "$ORCHESJOB_STATUS"';
    const words = ["start", ...RETRY, "--on-exit", hook, "--", "sh", "-c", `${gate.wait}; exit 7`];
    const job = await box.json(words);
    await using _ = { [Symbol.asyncDispose]: async () => void (await faults.heal()) };
    const faults = await injectFaults(box, job.worker_pid!, "execve:error=ENOMEM:when=1");
    gate.open();
    const last = await jobThat(
      box,
      "k",
      "has failed again",
      (seen) => seen.status === "FAILED" && seen.attempt_no === 2,
    );
    expect(last).toMatchObject({
      exit_code: -1,
      failure: "not_launched",
      error: "cannot execute orchesjob anew: cannot allocate memory",
    });
    expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
      attempt_no: 3,
    });
  },
);

// While the next attempt is being recorded: the runtime catches it, and tells it later. After that: nobody would be told.
testWith(["strace"], "a signal to a worker that goes on to its next attempt is not lost", async () => {
  for (const [call, signal] of [
    ["fsync,fdatasync", "SIGHUP"],
    ["close_range", "SIGTERM"],
  ] as const) {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `test $ORCHESJOB_ATTEMPT -gt 1 || { ${gate.wait}; exit 7; }`;
    const job = await box.json(["start", ...RETRY, "--", "sh", "-c", script]);
    await using _ = { [Symbol.asyncDispose]: async () => void (await faults.heal()) };
    const faults = await injectFaults(box, job.worker_pid!, `${call}:signal=${signal}:when=1`);
    gate.open();
    await until("the worker has ended", () => !isAlive(job.worker_pid!));
    expect([call, await attemptsOf(box)]).toMatchObject([
      call,
      [
        { status: "FAILED", exit_code: 7 },
        {
          status: "FAILED",
          failure: "not_launched",
          error: `${signal} came while the job waited for its next attempt`,
          target_pid: null,
        },
      ],
    ]);
  }
});

/** Starts a command that times out and that its worker may not signal; returns when the worker knows that. */
async function startUnending(box: Sandbox, gate: Gate) {
  const command = witness(`test $ORCHESJOB_ATTEMPT -gt 1 || ${gate.wait}`);
  const job = await box.json(["start", ...RETRY, "--timeout", "1", "--", ...command]);
  const faults = await injectFaults(box, job.worker_pid!, "pidfd_send_signal,kill:error=EPERM");
  await until("the worker cannot end it", () => faults.count() > 0);
  return { job, faults };
}

testWith(
  ["strace"],
  "the next attempt waits for a process of the last one that cannot be ended",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const { job, faults } = await startUnending(box, gate);
    await runningJob(box, "k");
    expect(await statusOf(box, "k")).toMatchObject({ status: "RUNNING", job_id: job.job_id });
    gate.open();
    await jobThat(box, "k", "has succeeded", (seen) => seen.status === "SUCCEEDED" && seen.attempt_no === 2);
    const [first] = await attemptsOf(box);
    expect(first).toMatchObject({ status: "FAILED", failure: "timed_out", exit_code: 0, orphan_pids: [] });
    expect(readExecutions(box, "k").overlapping).toEqual([]);
    await faults.heal();
  },
);

testWith(
  ["strace"],
  "cancel ends the wait for such a process, names it, and the key stays taken",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const { job, faults } = await startUnending(box, gate);
    const filter = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=kill,pidfd_send_signal:error=EPERM"];
    const cancelled = await box.execute([
      ...filter,
      BINARY,
      "cancel",
      "--run-key",
      "k",
      "--grace-seconds",
      "0",
    ]);
    expect(cancelled.code).toBe(4);
    expect(JSON.parse(cancelled.stdout)).toMatchObject({
      status: "CANCELLED",
      job_id: job.job_id,
      survivors: [job.target_pid!],
    });
    expect((await box.run(["start", "--run-key", "k", "--", "true"])).code).toBe(4);
    gate.open();
    await faults.heal();
    await until(
      "the key is free",
      async () => (await box.run(["start", "--run-key", "k", "--sync", "--", "true"])).code === 0,
    );
    expect(await attemptsOf(box)).toHaveLength(2);
    expect(existsSync(box.home)).toBe(true);
  },
);
