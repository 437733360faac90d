/** `--stall-after` and `--on-stall`: a job without output is said to be stalled, is ended, or somebody is told. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { lineIn } from "../support/hooks.ts";
import { finishedJob, jobThat } from "../support/jobs.ts";
import { killAndWait, killWorker, statusOf } from "../support/processes.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface StallingJob extends JobAnswer {
  readonly stalled_since: string | null;
  readonly on_stall_file: string | null;
}

async function stalledJob(box: Sandbox, runKey: string): Promise<StallingJob> {
  const isStalled = (job: JobAnswer) => (job as StallingJob).stalled_since !== null;
  return (await jobThat(box, runKey, "is stalled", isStalled)) as StallingJob;
}

const micros = (time: string) => Number(Temporal.Instant.from(time).epochNanoseconds / 1000n);

test.each(["file", "pipe"])("a job is stalled while it has no output, by --output %s", async (output) => {
  await using box = new Sandbox();
  await using first = new Gate(box, "first");
  await using second = new Gate(box, "second");
  await using third = new Gate(box, "third");
  const script = `echo begun; ${first.wait}; echo again >&2; ${second.wait}; ${third.wait}`;
  const words = [
    "start",
    "--run-key",
    "k",
    "--stall-after",
    "1",
    "--output",
    output,
    "--",
    "sh",
    "-c",
    script,
  ];
  const started = await box.json<StallingJob>(words);
  expect(started).toMatchObject({ stall_after_seconds: 1, on_stall: null, on_stall_file: null } as object);
  expect(started.stalled_since).toBeNull();
  const stalled = await stalledJob(box, "k");
  expect(stalled.status).toBe("RUNNING");
  // Its last output, which came with its start, and not the time at which that was found.
  expect(micros(stalled.stalled_since!) - micros(stalled.started_at)).toBeLessThan(1_000_000);
  first.open();
  await jobThat(box, "k", "has output again", (job) => (job as StallingJob).stalled_since === null);
  const again = await stalledJob(box, "k");
  expect(micros(again.stalled_since!)).toBeGreaterThan(micros(stalled.stalled_since!));
  second.open();
  third.open();
  expect(await finishedJob(box, "k")).toMatchObject({
    status: "SUCCEEDED",
    stalled_since: again.stalled_since,
  } as object);
});

test("output that goes on is no stall, however long the job takes", async () => {
  await using box = new Sandbox();
  const script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; sleep 0.25; done";
  const words = ["start", "--sync", "--run-key", "k", "--stall-after", "2", "--on-stall", "cancel"];
  expect(await box.json([...words, "--", "sh", "-c", script])).toMatchObject({
    ...{ status: "SUCCEEDED", stalled_since: null },
  } as object);
});

test("a log that was renamed is the one that the command writes to", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `${gate.wait}; echo moved; sleep 600`;
  const job = await box.json(["start", "--run-key", "k", "--stall-after", "1", "--", "sh", "-c", script]);
  renameSync(job.stdout_file, `${job.stdout_file}.1`);
  const stalled = await stalledJob(box, "k");
  gate.open();
  const isLater = (found: JobAnswer) => {
    const since = (found as StallingJob).stalled_since;
    return since !== null && since !== stalled.stalled_since;
  };
  await jobThat(box, "k", "has output and stalls again", isLater);
  await box.json(["cancel", "--run-key", "k"]);
});

test("--on-stall cancel ends the job as a time limit does: FAILED, stalled, exit code 124", async () => {
  await using box = new Sandbox();
  const script = "echo begun; setsid sleep 600 & sleep 600";
  const words = [
    "run",
    "--run-key",
    "k",
    "--stall-after",
    "1",
    "--on-stall",
    "cancel",
    "--",
    "sh",
    "-c",
    script,
  ];
  expect(await box.run(words)).toMatchObject({ code: 124, stdout: "begun\n" });
  const job = (await statusOf(box, "k")) as StallingJob;
  expect(job).toMatchObject({
    ...{ status: "FAILED", failure: "stalled", error: "stalled: no output for 1s", exit_code: -15 },
    ...{ orphan_pids: [], on_stall: "cancel", on_stall_file: null },
  } as object);
  expect(job.stalled_since).not.toBeNull();
  expect(box.processes()).toEqual([]);
});

test.each(["file", "pipe"])(
  "output that comes while the worker is stopped is no silence, by --output %s",
  async (output) => {
    await using box = new Sandbox();
    const [ticks, over] = [join(box.directory, "ticks"), join(box.directory, "over")];
    const script = `until [ -e ${over} ]; do printf x; printf . >>${ticks}; sleep 0.1; done`;
    const limits = ["--stall-after", "1", "--on-stall", "cancel", "--output", output];
    const job = await box.json(["start", "--run-key", "k", ...limits, "--", "sh", "-c", script]);
    process.kill(job.worker_pid!, "SIGSTOP");
    const written = () => (existsSync(ticks) ? readFileSync(ticks).length : 0);
    // Two seconds, whatever the machine does.
    await until("the command has written for longer than that", () => written() > 20);
    process.kill(job.worker_pid!, "SIGCONT");
    const then = written();
    await until("the command goes on", () => written() > then + 3);
    writeFileSync(over, "");
    expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED", stalled_since: null } as object);
  },
);

test.each(["file", "pipe"])(
  "a command that ends with output is not stalled any more, by --output %s",
  async (output) => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const script = `${gate.wait}; echo at last`;
    const limits = ["--stall-after", "1", "--output", output];
    await box.json(["start", "--run-key", "k", ...limits, "--", "sh", "-c", script]);
    await stalledJob(box, "k");
    gate.open();
    expect(await finishedJob(box, "k")).toMatchObject({ status: "SUCCEEDED", stalled_since: null } as object);
  },
);

test("what a command says about being ended for a stall does not undo the stall", async () => {
  await using box = new Sandbox();
  const script = 'trap "echo bye; exit 0" TERM; sleep 600 & wait';
  const limits = ["--stall-after", "1", "--on-stall", "cancel"];
  const job = (await box.json([
    "start",
    "--sync",
    "--run-key",
    "k",
    ...limits,
    "--",
    "sh",
    "-c",
    script,
  ])) as StallingJob;
  expect(job.failure).toBe("stalled");
  expect(job.stalled_since).not.toBeNull();
});

test("a stalled job that ignores TERM is killed after its --grace-seconds, and so is one whose time is over", async () => {
  await using box = new Sandbox();
  const stubborn = ["--grace-seconds", "0", "--", "sh", "-c", 'trap "" TERM; while :; do sleep 1; done'];
  const stall = ["--stall-after", "1", "--on-stall", "cancel"];
  const job = await box.json(["start", "--sync", "--run-key", "k", ...stall, ...stubborn]);
  expect(job).toMatchObject({ failure: "stalled", exit_code: -9, grace_seconds: 0 } as object);
  const late = await box.json(["start", "--sync", "--run-key", "t", "--timeout", "1", ...stubborn]);
  expect(late).toMatchObject({ failure: "timed_out", exit_code: -9 });
});

test("a command of --on-stall runs once for each stall, with the job on its stdin", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = 'cat > "input.$(ls input.* 2>/dev/null | wc -l)"; echo "$ORCHESJOB_STATUS $ORCHESJOB_RUN_KEY"';
  const words = ["start", "--run-key", "k", "--stall-after", "1", "--on-stall", hook, "--"];
  const job = await box.json<StallingJob>([...words, "sh", "-c", `${gate.wait}; echo again; sleep 600`]);
  expect(await lineIn(job.on_stall_file!)).toBe("RUNNING k\n");
  const input = (name: string) => JSON.parse(readFileSync(join(box.directory, name), "utf8")) as StallingJob;
  const first = input("input.0");
  expect(first).toMatchObject({ job_id: job.job_id, status: "RUNNING", on_stall: hook } as object);
  expect(first.stalled_since).not.toBeNull();
  gate.open();
  await until("the second", () => readFileSync(job.on_stall_file!, "utf8") === "RUNNING k\n".repeat(2));
  expect(input("input.1").stalled_since).not.toBe(first.stalled_since);
  expect(existsSync(join(box.directory, "input.2"))).toBe(false);
  await box.json(["cancel", "--run-key", "k"]);
  // Its output goes with the job.
  await until("nobody is left", () => box.processes().length === 0);
  await box.json(["clean", "--before", "2999-01-01"]);
  expect(existsSync(job.on_stall_file!)).toBe(false);
});

test("a command of --on-stall is not a process of the job: it holds no key, and cancel does not end it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = `echo $$ > hook.pid; ${gate.wait}; echo done > done`;
  await box.json(["start", "--run-key", "k", "--stall-after", "1", "--on-stall", hook, "--", "sleep", "600"]);
  const shell = Number(await lineIn(join(box.directory, "hook.pid")));
  expect(await box.json<object>(["cancel", "--run-key", "k"])).toMatchObject({
    status: "CANCELLED",
    survivors: [],
  });
  expect(await box.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
  });
  expect(isAlive(shell)).toBe(true);
  gate.open();
  await lineIn(join(box.directory, "done"));
});

test("of a job whose worker was killed, the stall stays as it was", async () => {
  await using box = new Sandbox();
  const words = [
    "start",
    "--run-key",
    "k",
    "--stall-after",
    "1",
    "--on-failure",
    "cat > told.json; echo ran",
  ];
  const job = await box.json([...words, "--", "sleep", "600"]);
  const { stalled_since } = await stalledJob(box, "k");
  await killWorker(job);
  await killAndWait(job.target_pid!);
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", stalled_since } as object);
  await until("nobody is left", () => box.processes().length === 0);
  expect(JSON.parse(readFileSync(join(box.directory, "told.json"), "utf8"))).toMatchObject({ stalled_since });
});

test("metrics count stalled jobs, and say for how long each is silent", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "k", "--stall-after", "1", "--", ...gate.command]);
  await box.json(["start", "--run-key", "other", "--stall-after", "1h", "--", ...gate.command]);
  await stalledJob(box, "k");
  const { stdout } = await box.run(["metrics"]);
  expect(stdout).toContain("\norchesjob_stalled_jobs 1\n");
  const silence = /^orchesjob_stalled_job_silence_seconds\{run_key="k"\} (\S+)$/m.exec(stdout);
  expect(Number(silence?.[1])).toBeGreaterThanOrEqual(1);
  expect(stdout).not.toContain('stalled_job_silence_seconds{run_key="other"}');
});

test("rerun stalls as the job did", async () => {
  await using box = new Sandbox();
  const stall = ["--stall-after", "1", "--on-stall", "cancel", "--grace-seconds", "3"];
  await box.json(["start", "--sync", "--run-key", "k", ...stall, "--", "sleep", "600"]);
  expect(await box.json(["rerun", "--sync", "--run-key", "k"])).toMatchObject({
    ...{ attempt_no: 2, failure: "stalled", stall_after_seconds: 1, grace_seconds: 3 },
  } as object);
});

test.each([
  [["--stall-after", "soon"], "--stall-after must be a duration"],
  [["--stall-after", "0"], "--stall-after must be a duration"],
  [["--on-stall", "cancel"], "--on-stall needs --stall-after DURATION"],
  [["--stall-after", "1m", "--on-stall", " "], "--on-stall is empty"],
  [["--grace-seconds", "3"], "--grace-seconds needs something that ends the command"],
  [["--stall-after", "1m", "--on-stall", "true", "--grace-seconds", "3"], "--grace-seconds needs something"],
  [["--timeout", "1m", "--grace-seconds=-1"], "--grace-seconds must be a whole number"],
  [["--timeout", "1m", "--grace-seconds", "x"], "--grace-seconds must be a whole number"],
])("a bad value is refused: %p", async (options, message) => {
  await using box = new Sandbox();
  const refused = await box.run(["start", "--run-key", "k", ...options, "--", "true"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toStartWith(`orchesjob: ${message}`);
});
