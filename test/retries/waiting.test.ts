/** Between two attempts: the key is taken, the waiting can be ended, and whatever is killed, the key is free again. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type AttemptAnswer, attemptsOf, failing } from "../support/attempts.ts";
import { edit } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { Gate } from "../support/gate.ts";
import { hookedJob, lineIn } from "../support/hooks.ts";
import { finishedJob, jobThat, runningJob } from "../support/jobs.ts";
import { findProcesses, killAndWait, stateOf, statusOf } from "../support/processes.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** Starts the command, and waits until its first attempt has failed. */
async function startWaiting(box: Sandbox, ...options: readonly string[]): Promise<AttemptAnswer> {
  await box.json(["start", ...failing(...options)]);
  return jobThat(
    box,
    "k",
    "waits for its second attempt",
    (job) => job.attempt_no === 2,
  ) as Promise<AttemptAnswer>;
}

async function expectFreeKey(box: Sandbox): Promise<void> {
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    existing: false,
    status: "SUCCEEDED",
  });
  expect(readdirSync(join(box.home, "locks"))).toEqual([]);
}

test.concurrent("a start returns the attempt that waits, at once, and starts nothing", async () => {
  await using box = new Sandbox();
  const waiting = await startWaiting(box);
  expect(waiting).toMatchObject({ status: "STARTING", target_pid: null, retries_left: 2 });
  const other = await box.json(["start", "--run-key", "k", "--start-timeout", "1h", "--", "true"]);
  expect(other).toMatchObject({ existing: true, job_id: waiting.job_id, command_matches: false });
  expectFailure(await box.run(["rerun", "--run-key", "k"]), 4, /it is STARTING/);
  await box.json(["cancel", "--run-key", "k"]);
});

test.concurrent("cancel ends the waiting at once, and the run with it", async () => {
  await using box = new Sandbox();
  const waiting = await startWaiting(box);
  const cancelled = await box.json<JobAnswer>([
    "cancel",
    "--run-key",
    "k",
    "--reason",
    "enough",
    "--grace-seconds",
    "3600",
  ]);
  expect(cancelled).toMatchObject({
    job_id: waiting.job_id,
    status: "CANCELLED",
    cancel_reason: "enough",
    exit_code: null,
    error: "it was cancelled before its command was launched",
    target_pid: null,
    started_at: waiting.started_at,
    retries_left: 0,
    survivors: [],
  });
  const table = await box.run(["list", "--fields", "status,took", "--format", "csv"]);
  expect(table.stdout.split("\n")[1]).toMatch(/^CANCELLED,\r?$/);
  await until("the worker has ended", () => !isAlive(waiting.worker_pid!));
  expect((await attemptsOf(box)).map((job) => job.status)).toEqual(["FAILED", "CANCELLED"]);
  await expectFreeKey(box);
});

test.concurrent("cancel in the place of a worker that cannot be reached says the same", async () => {
  await using box = new Sandbox();
  const { job_id, worker_pid } = await startWaiting(box);
  rmSync(join(box.home, "locks", job_id));
  expect(await box.json(["cancel", "--run-key", "k", "--grace-seconds", "0"])).toMatchObject({
    status: "CANCELLED",
    error: "it was cancelled before its command was launched",
  });
  await until("the worker has ended", () => !isAlive(worker_pid!));
  await expectFreeKey(box);
});

test.concurrent("cancel of the failed attempt's id ends the run", async () => {
  await using box = new Sandbox();
  const waiting = await startWaiting(box);
  const first = waiting.retry_of_job_id!;
  expect(await box.json(["cancel", "--job-id", first])).toMatchObject({
    job_id: waiting.job_id,
    status: "CANCELLED",
  });
  expectFailure(await box.run(["cancel", "--job-id", first]), 4, /already FAILED/);
});

test.concurrent("cancel of a running attempt is not followed by another one", async () => {
  await using box = new Sandbox();
  const words = ["--run-key", "k", "--retries", "3", "--retry-delay", "0", "--"];
  await box.json(["start", ...words, "sh", "-c", "test $ORCHESJOB_ATTEMPT -gt 1 && exec sleep 600"]);
  await jobThat(
    box,
    "k",
    "runs again",
    (job) => job.attempt_no === 2 && job.status === "RUNNING" && job.target_pid !== null,
  );
  expect(await box.json(["cancel", "--run-key", "k"])).toMatchObject({ status: "CANCELLED", attempt_no: 2 });
  expect(await attemptsOf(box)).toHaveLength(2);
  await expectFreeKey(box);
});

test.concurrent("callers that wait see the cancelled attempt: run, start --sync, wait", async () => {
  await using box = new Sandbox();
  const run = box.run(["run", ...failing()]);
  await jobThat(box, "k", "waits for its second attempt", (job) => job.attempt_no === 2);
  const sync = box.run(["start", "--sync", "--exit-status", ...failing()]);
  const first = (await attemptsOf(box))[0]!;
  const wait = box.run(["wait", "--exit-status", "--job-id", first.job_id]);
  await until(
    "all of them wait",
    () =>
      findProcesses(box, "run").length +
        findProcesses(box, "--sync").length +
        findProcesses(box, "wait").length ===
      3,
  );
  await box.json(["cancel", "--run-key", "k"]);
  for (const caller of [run, sync, wait]) expect((await caller).code).toBe(143);
  expect((await run).stderr).toContain("orchesjob: attempt 1 failed (exit code 1); attempt 2 follows in 59m");
});

test.concurrent("the hook runs when the waiting is cancelled", async () => {
  await using box = new Sandbox();
  await startWaiting(box, "--on-exit", 'echo "$ORCHESJOB_STATUS"');
  await box.json(["cancel", "--run-key", "k"]);
  expect(await lineIn((await hookedJob(box, "k")).on_exit_file!)).toBe("CANCELLED\n");
});

test.concurrent(
  "a worker that is killed while it waits leaves a named loss, a hook and a free key",
  async () => {
    await using box = new Sandbox();
    const waiting = await startWaiting(box, "--on-exit", 'echo "$ORCHESJOB_STATUS"');
    await killAndWait(waiting.worker_pid!);
    const lost = {
      status: "LOST",
      lost_reason: "start_interrupted",
      job_id: waiting.job_id,
      orphan_pids: [],
    };
    expect(await statusOf(box, "k")).toMatchObject(lost);
    expect(await lineIn((await hookedJob(box, "k")).on_exit_file!)).toBe("LOST\n");
    expect((await attemptsOf(box)).map((job) => job.status)).toEqual(["FAILED", "LOST"]);
    await expectFreeKey(box);
  },
);

test.concurrent("a reboot while it waits is the reason of the loss, and the key is free", async () => {
  await using box = new Sandbox();
  const waiting = await startWaiting(box);
  await killAndWait(waiting.worker_pid!);
  edit(box, "update job_records set boot_id = '00000000-0000-4000-8000-000000000000'");
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", lost_reason: "reboot" });
  await expectFreeKey(box);
});

test.concurrent.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
  "%s to the worker that waits ends the run: FAILED",
  async (signal) => {
    await using box = new Sandbox();
    const waiting = await startWaiting(box);
    process.kill(waiting.worker_pid!, signal);
    const failed = {
      status: "FAILED",
      exit_code: -1,
      failure: "not_launched",
      error: `${signal} came while the job waited for its next attempt`,
      started_at: waiting.started_at,
      retries_left: 0,
    };
    expect(await finishedJob(box, "k")).toMatchObject(failed);
    expect(await attemptsOf(box)).toHaveLength(2);
    await expectFreeKey(box);
  },
);

test.concurrent(
  "a command that ends by the TERM that its worker has passed on is not tried again",
  async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--retries", "3", "--retry-delay", "0", "--", "sleep", "600"]);
    process.kill((await runningJob(box, "k")).worker_pid!, "SIGTERM");
    expect(await finishedJob(box, "k")).toMatchObject({ status: "FAILED", signal: "SIGTERM", attempt_no: 1 });
    expect(await attemptsOf(box)).toHaveLength(1);
  },
);

test.concurrent(
  "a worker that is killed while its second attempt runs leaves an orphan, which holds the key",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `test $ORCHESJOB_ATTEMPT -gt 1 || exit 1; ${gate.wait}`;
    await box.json([
      "start",
      "--run-key",
      "k",
      "--retries",
      "3",
      "--retry-delay",
      "0",
      "--",
      "sh",
      "-c",
      script,
    ]);
    const job = await jobThat(
      box,
      "k",
      "runs again",
      (seen) => seen.attempt_no === 2 && seen.target_pid !== null,
    );
    await killAndWait(job.worker_pid!);
    expect(await statusOf(box, "k")).toMatchObject({
      status: "LOST",
      lost_reason: "worker_killed",
      orphan_pids: [job.target_pid!],
    });
    expectFailure(await box.run(["start", "--run-key", "k", "--", "true"]), 4, /its command still runs/);
    // The id of the first attempt means the run, also for a cancel.
    const [{ job_id: first }] = (await attemptsOf(box)) as [AttemptAnswer, AttemptAnswer];
    const dry = await box.run(["cancel", "--job-id", first, "--dry-run"]);
    expect(dry.stderr).toContain(`Would cancel job ${job.job_id}`);
    const cancelled = await box.json(["cancel", "--job-id", first]);
    expect(cancelled).toMatchObject({ job_id: job.job_id, status: "LOST", survivors: [] });
    expect(isAlive(job.target_pid!)).toBe(false);
    await expectFreeKey(box);
  },
);

test.concurrent(
  "the worker that waits is found by its new command line if its lock file is deleted",
  async () => {
    await using box = new Sandbox();
    const waiting = await startWaiting(box);
    const lock = join(box.home, "locks", waiting.job_id);
    expect(existsSync(lock)).toBe(true);
    await box.execute(["rm", lock]);
    expect(await statusOf(box, "k")).toMatchObject({ status: "STARTING" });
    expect(await box.json(["cancel", "--run-key", "k", "--grace-seconds", "0"])).toMatchObject({
      status: "CANCELLED",
    });
  },
);

test.concurrent(
  "what a failed attempt left in the background is reaped while the next one waits",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const words = ["--run-key", "k", "--retries", "1", "--retry-delay", "1h", "--"];
    await box.json(["start", ...words, "sh", "-c", `(${gate.wait}) & echo $!; exit 1`]);
    await jobThat(box, "k", "waits for its second attempt", (job) => job.attempt_no === 2);
    const [first] = await attemptsOf(box);
    const daemon = Number(readFileSync(first!.stdout_file, "utf8"));
    expect(stateOf(daemon)).toBeDefined();
    gate.open();
    await until("it is gone, and no zombie is left", () => stateOf(daemon) === undefined);
    await box.json(["cancel", "--run-key", "k"]);
  },
);
