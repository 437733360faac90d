/** `--on-failure`: when its hook runs, alone and beside that of `--on-exit`. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { type HookedJob, hookedJob, lineIn } from "../support/hooks.ts";
import { killAndWait, killWorker, statusOf } from "../support/processes.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);

interface FailedJob extends HookedJob {
  readonly on_failure: string | null;
  readonly on_failure_file: string | null;
  readonly on_failure_code: number | null;
  readonly on_failure_error: string | null;
  readonly on_failure_finished_at: string | null;
}

const PRINT_RESULT = 'echo "$ORCHESJOB_STATUS,$ORCHESJOB_EXIT_CODE"';

function failedJob(box: Sandbox, runKey: string): Promise<FailedJob> {
  return until(`the failure hook of ${runKey} is recorded`, async () => {
    const job = (await statusOf(box, runKey)) as FailedJob;
    return job.on_failure_finished_at !== null && job;
  });
}

test.each([
  ["FAILED,3", ["--", "sh", "-c", "exit 3"]],
  ["FAILED,-1", ["--", "./no-such-file"]],
  ["FAILED,-15", ["--timeout", "1", "--", "sleep", "60"]],
])("the hook runs for a job that failed: %s, of %j", async (told, args) => {
  await using box = new Sandbox();
  await box.json(["start", "--sync", "--run-key", "k", "--on-failure", PRINT_RESULT, ...args]);
  const job = await failedJob(box, "k");
  expect(readFileSync(job.on_failure_file!, "utf8")).toBe(`${told}\n`);
  expect(job).toMatchObject({
    ...{ on_failure: PRINT_RESULT, on_failure_code: 0, on_failure_error: null },
    ...{ on_exit: null, on_exit_file: null, on_exit_finished_at: null },
  });
});

test("it runs for a cancelled job, and is not one of its survivors", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = `${PRINT_RESULT}; ${gate.wait}`;
  await box.json(["start", "--run-key", "k", "--on-failure", hook, "--", "sleep", "600"]);
  expect(await box.json<object>(["cancel", "--run-key", "k"])).toMatchObject({ survivors: [] });
  expect(await statusOf(box, "k")).toMatchObject({ status: "CANCELLED", orphan_pids: [] });
  gate.open();
  expect(readFileSync((await failedJob(box, "k")).on_failure_file!, "utf8")).toBe("CANCELLED,-15\n");
});

test("the command that finds a loss starts the lost job's hook", async () => {
  await using box = new Sandbox();
  const job = await box.json(["start", "--run-key", "k", "--on-failure", PRINT_RESULT, "--", "sleep", "600"]);
  await killWorker(job);
  await killAndWait(job.target_pid!);
  expect(readFileSync((await failedJob(box, "k")).on_failure_file!, "utf8")).toBe("LOST,\n");
});

test("it does not run for a job that succeeded, which clean then deletes", async () => {
  await using box = new Sandbox();
  const hooks = ["--on-failure", "touch failed", "--on-exit", "touch ended"];
  await box.json(["start", "--sync", "--run-key", "k", ...hooks, "--", "true"]);
  await hookedJob(box, "k");
  await until("nobody is left", () => box.processes().length === 0);
  expect(await statusOf(box, "k")).toMatchObject({
    on_failure_code: null,
    on_failure_finished_at: null,
  } as object);
  expect(existsSync(join(box.directory, "failed"))).toBe(false);
  expect(await box.json<object>(["clean", "--before", "2999-01-01"])).toMatchObject({
    deleted: 1,
    errors: 0,
  });
});

test("both hooks run side by side, each with its own output and record, and clean deletes both outputs", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  // Neither ends before the other has begun.
  const meet = (mine: string, other: string) =>
    `echo ${mine}; touch ${mine}; until test -e ${other}; do sleep 0.01; done`;
  const start = ["start", "--sync", "--run-key", "k", "--on-exit", `${meet("a", "b")}; ${gate.wait}`];
  await box.json([...start, "--on-failure", `${meet("b", "a")}; exit 7`, "--", "false"]);
  const job = await failedJob(box, "k");
  expect(job).toMatchObject({ on_failure_code: 7, on_failure_error: "exit code 7: b" });
  expect(job.on_exit_finished_at).toBeNull();
  const kept = await box.run(["clean", "--before", "2999-01-01"]);
  expect(kept.stderr).toMatch(/^orchesjob: job \S+ is kept: its hook has not ended yet\n$/);
  gate.open();
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0 });
  expect(readFileSync(job.on_exit_file!, "utf8")).toBe("a\n");
  await until("nobody is left", () => box.processes().length === 0);
  expect(await box.json<object>(["clean", "--before", "2999-01-01"])).toMatchObject({ deleted: 1 });
  expect(existsSync(job.on_exit_file!) || existsSync(job.on_failure_file!)).toBe(false);
});

test("a hook whose worker was killed runs again, and the other, which had ended, does not", async () => {
  await using box = new Sandbox();
  const once = "if test -e pid; then exit 5; else echo $$ > pid; exec sleep 600; fi";
  const options = ["--on-exit", "echo ran >> exits", "--on-failure", once];
  const job = await box.json(["start", "--sync", "--run-key", "k", ...options, "--", "false"]);
  const shell = Number(await lineIn(join(box.directory, "pid")));
  await hookedJob(box, "k");
  await killWorker(job);
  await killAndWait(shell);
  expect(await failedJob(box, "k")).toMatchObject({ on_failure_code: 5, on_exit_code: 0 });
  await until("nobody is left", () => box.processes().length === 0);
  expect(readFileSync(join(box.directory, "exits"), "utf8")).toBe("ran\n");
});

test("what one hook leaves in the background is not waited for by the other, nor ended", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const once = `if test -e pid; then echo again > again; else echo $$ > pid; exec sleep 600; fi`;
  const daemon = `(${gate.wait}; echo done > done) & exit 0`;
  const options = ["--on-exit", daemon, "--on-failure", once, "--on-failure-timeout", "1h"];
  const job = await box.json(["start", "--sync", "--run-key", "k", ...options, "--", "false"]);
  const shell = Number(await lineIn(join(box.directory, "pid")));
  await hookedJob(box, "k");
  await killWorker(job);
  await killAndWait(shell);
  expect(await failedJob(box, "k")).toMatchObject({ on_failure_code: 0 });
  gate.open();
  await lineIn(join(box.directory, "done"));
});

test("a hook that outlived its runner ends before it runs again: never two at the same time", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = witness(`echo begun > begun; ${gate.wait}`)[2]!;
  const job = await box.json(["start", "--sync", "--run-key", "k", "--on-failure", hook, "--", "false"]);
  await lineIn(join(box.directory, "begun"));
  await killWorker(job);
  await box.run(["status", "--run-key", "k"]);
  gate.open();
  expect(await failedJob(box, "k")).toMatchObject({ on_failure_code: 0 });
  const { started, ended, overlapping } = readExecutions(box, "k");
  expect({ started: started.length, ended: ended.length, overlapping }).toEqual({
    ...{ started: 2, ended: 2, overlapping: [] },
  });
});

test("a hook that hangs is ended with all its processes, and recorded", async () => {
  await using box = new Sandbox();
  const options = ["--on-failure-timeout", "1", "--on-failure", "setsid sleep 600 & sleep 600"];
  await box.json(["start", "--sync", "--run-key", "k", ...options, "--", "false"]);
  expect(await failedJob(box, "k")).toMatchObject({ on_failure_error: "timed out after 1s" });
  await until("nothing is left", () => box.processes().length === 0);
});

test("rerun repeats the job's hook, or takes another, and keeps the other hook", async () => {
  await using box = new Sandbox();
  const options = ["--on-failure", "echo one", "--on-exit", "echo end"];
  await box.json(["start", "--sync", "--run-key", "k", ...options, "--", "false"]);
  await box.json(["rerun", "--sync", "--run-key", "k"]);
  expect(await failedJob(box, "k")).toMatchObject({ attempt_no: 2, on_failure: "echo one" });
  const again = ["rerun", "--sync", "--run-key", "k", "--on-failure", "echo two > /dev/stdout"];
  expect(await box.json<object>(again)).toMatchObject({
    ...{ on_failure: "echo two > /dev/stdout", on_exit: "echo end" },
    warnings: [expect.stringContaining("the hook names /dev/stdout")],
  });
  await failedJob(box, "k");
  await hookedJob(box, "k");
});

test.each([
  [["--on-failure", ""], "--on-failure is empty"],
  [["--on-failure", "x".repeat(32_769)], "--on-failure has 32769 bytes"],
  [["--on-failure-timeout", "5m"], "--on-failure-timeout needs --on-failure"],
  [["--on-exit", "true", "--on-failure-timeout", "5m"], "--on-failure-timeout needs --on-failure"],
  [["--on-failure", "true", "--on-failure-timeout", "0"], "--on-failure-timeout must be a duration"],
])("a bad value is refused: %p", async (options, message) => {
  await using box = new Sandbox();
  const refused = await box.run(["start", "--run-key", "k", ...options, "--", "true"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toStartWith(`orchesjob: ${message}`);
});
