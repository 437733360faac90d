/** `--on-exit`: what a hook is given, when it runs, and what is recorded about it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type HookedJob, hookedJob, lineIn } from "../support/hooks.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob, jobThat, startReady } from "../support/jobs.ts";
import { killAndWait, killWorker, statusOf } from "../support/processes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const PRINT_RESULT = 'echo "$ORCHESJOB_STATUS,$ORCHESJOB_EXIT_CODE"';

/** What the hook has written. */
function words(job: HookedJob): string {
  return readFileSync(job.on_exit_file!, "utf8");
}

test.each([
  ["SUCCEEDED,0", ["--", "true"]],
  ["FAILED,3", ["--", "sh", "-c", "exit 3"]],
  ["FAILED,-9", ["--", "sh", "-c", "kill -9 $$"]],
  ["FAILED,-1", ["--", "./no-such-file"]],
  ["FAILED,-1", ["--cwd", "/no/such/directory", "--", "true"]],
  ["FAILED,-15", ["--timeout", "1", "--", "sleep", "60"]],
])("a hook gets the job's status and exit code: %s, of %j", async (told, args) => {
  await using box = new Sandbox();
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", PRINT_RESULT, ...args]);
  const job = await hookedJob(box, "k");
  expect(words(job)).toBe(`${told}\n`);
  expect(job).toMatchObject({ on_exit: PRINT_RESULT, on_exit_code: 0, on_exit_error: null });
});

test("a hook that is just starting is not a survivor of a cancelled job", async () => {
  await using box = new Sandbox();
  for (let count = 0; count < 15; count++) {
    await box.json(["start", "--run-key", "k", "--on-exit", "cat > /dev/null", "--", "sleep", "600"]);
    expect(await box.json<object>(["cancel", "--run-key", "k"])).toMatchObject({ survivors: [] });
  }
});

test("a hook reads that the job was cancelled, and is not one of its survivors", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = `${PRINT_RESULT}; ${gate.wait}`;
  await box.json(["start", "--run-key", "k", "--on-exit", hook, "--", "sleep", "600"]);
  const cancelled = await box.json<JobAnswer & { survivors: number[] }>(["cancel", "--run-key", "k"]);
  expect(cancelled).toMatchObject({ status: "CANCELLED", survivors: [] });
  gate.open();
  expect(words(await hookedJob(box, "k"))).toBe("CANCELLED,-15\n");
});

test("the command that finds a loss starts the lost job's hook, which gets no exit code", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "k", "--on-exit", PRINT_RESULT, "--", ...gate.command]);
  await killWorker(await statusOf(box, "k"));
  gate.open();
  expect(await hookedJob(box, "k")).toMatchObject({ status: "LOST", on_exit_code: 0 });
  expect(words(await hookedJob(box, "k"))).toBe("LOST,\n");
});

test("a hook reads the job as status prints it, however long that is", async () => {
  await using box = new Sandbox();
  const long = "ä".repeat(60_000);
  const hook = `cat > read.json; ${BINARY} status --job-id "$ORCHESJOB_JOB_ID" > printed.json`;
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "true", long, long]);
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_error: null });
  const [read, printed] = ["read.json", "printed.json"].map((name) =>
    readFileSync(join(box.directory, name), "utf8"),
  );
  expect(read!).toBe(printed!);
  expect(JSON.parse(read!)).toMatchObject({ status: "SUCCEEDED", command: ["true", long, long] });
});

test("a hook that does not read a job longer than a pipe holds ends all the same", async () => {
  await using box = new Sandbox();
  const long = "x".repeat(120_000);
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", "exit 0", "--", "true", long]);
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0, on_exit_error: null });
});

test("a hook runs in the job's directory, with its environment, bytes included", async () => {
  await using box = new Sandbox();
  const place = join(box.directory, "a place");
  mkdirSync(place);
  const hook = `pwd; echo "$GIVEN/$ASKED/$ORCHESJOB_RUN_KEY/$ORCHESJOB_ATTEMPT"; printf %s "$RAW" | od -An -tx1`;
  const script = `RAW=$(printf 'a\\377b'); export RAW; cd 'a place'; exec "$0" "$@"`;
  const start = ["start", "--sync", "--run-key", "k", "--env", "ASKED=2", "--on-exit", hook, "--", "true"];
  await box.execute(["sh", "-c", script, BINARY, ...start], { env: { GIVEN: "1", ASKED: "9" } });
  expect(words(await hookedJob(box, "k"))).toBe(`${place}\n1/2/k/1\n 61 ff 62\n`);
});

test("a hook of a job whose directory is gone runs in the root directory", async () => {
  await using box = new Sandbox();
  mkdirSync(join(box.directory, "gone"));
  const start = ["start", "--sync", "--run-key", "k", "--on-exit", "pwd", "--cwd", "gone", "--"];
  await box.json([...start, "rmdir", join(box.directory, "gone")]);
  expect(words(await hookedJob(box, "k"))).toBe("/\n");
  expect(() => rmdirSync(join(box.directory, "gone"))).toThrow();
});

test("a failed hook is recorded with its last output, and changes nothing else", async () => {
  await using box = new Sandbox();
  const hook = "echo first; echo 'no route to host' >&2; exit 7";
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "true"]);
  expect(await hookedJob(box, "k")).toMatchObject({
    ...{ status: "SUCCEEDED", exit_code: 0, error: null },
    ...{ on_exit_code: 7, on_exit_error: "exit code 7: no route to host" },
  });
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", "kill -KILL $$", "--", "true"]);
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: -9, on_exit_error: "ended by SIGKILL" });
});

test("a hook that truncates its own log is recorded with its last output all the same", async () => {
  await using box = new Sandbox();
  // The log has bytes before the hook begins, as in a second run.
  const command = `printf '%0200d\\n' 0 > "$ORCHESJOB_HOME/logs/$ORCHESJOB_JOB_ID.hook"`;
  const hook = "echo much that was before; echo gone > /dev/stderr; exit 7";
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "sh", "-c", command]);
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_error: "exit code 7: gone" });
});

test("commands that wait for a job do not wait for its hook, and the key is free", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hooked = ["--run-key", "k", "--on-exit", `echo ran; ${gate.wait}`, "--", "echo", "out"];
  await box.json(["start", "--start-timeout", "0", ...hooked]);
  await box.json(["wait", "--run-key", "k"]);
  expect(await box.run(["logs", "--follow", "--run-key", "k"])).toMatchObject({ stdout: "out\n" });
  expect(await box.json(["start", "--sync", ...hooked])).toMatchObject({
    attempt_no: 2,
    status: "SUCCEEDED",
  });
  expect(await box.run(["run", ...hooked])).toMatchObject({ code: 0, stdout: "out\n", stderr: "" });
  const jobs = await box.json<HookedJob[]>(["status", "--run-key", "k", "--all"]);
  expect(jobs.map((job) => job.on_exit_finished_at)).toEqual([null, null, null]);
  for (const job of jobs) expect(await lineIn(job.on_exit_file!)).toBe("ran\n");
  // Waiters sleep on the lock files, which are gone before a hook begins. Waiters also poll, so only this check
  // notices if they are not.
  expect(readdirSync(join(box.home, "locks")).sort()).toEqual(jobs.map((job) => `${job.job_id}.hook`).sort());
});

test("a long-running hook of a lost job does not hold the key, and cancel does not end it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = `setsid sh -c '${gate.wait}' & echo $$ > hook.pid; ${gate.wait}`;
  const job = await startReady(box, "k", "echo ready; sleep 600");
  await killWorker(job);
  await killAndWait(job.target_pid!);
  for (const child of box.processes()) process.kill(child, "SIGKILL");
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", on_exit: null } as object);

  const hooked = await box.json(["start", "--run-key", "k", "--on-exit", hook, "--", "sleep", "600"]);
  await killWorker(hooked);
  await killAndWait(hooked.target_pid!);
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", orphan_pids: [] });
  await lineIn(join(box.directory, "hook.pid"));
  expect(await statusOf(box, "k")).toMatchObject({ status: "LOST", orphan_pids: [] });
  expect(await box.run(["cancel", "--run-key", "k"])).toMatchObject({ code: 4 });
  expect(await box.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
    status: "SUCCEEDED",
  });
  gate.open();
  const rest = () => box.json<HookedJob[]>(["status", "--run-key", "k", "--all"]);
  await until("the hook is recorded", async () => (await rest())[1]?.on_exit_code === 0);
});

test("a job started by a hook is a job like any other: what its dead worker leaves behind holds its key", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const chain = `${BINARY} start --run-key second -- sh -c '${gate.wait}'`;
  await box.json(["start", "--sync", "--run-key", "first", "--on-exit", chain, "--", "true"]);
  expect(await hookedJob(box, "first")).toMatchObject({ on_exit_code: 0 });
  const second = await statusOf(box, "second");
  await killWorker(second);
  expect(await statusOf(box, "second")).toMatchObject({ status: "LOST", orphan_pids: [second.target_pid] });
  expect(await box.run(["start", "--run-key", "second", "--", "true"])).toMatchObject({ code: 4 });
});

test("a hook can start its own key again", async () => {
  await using box = new Sandbox();
  const again = `test "$ORCHESJOB_ATTEMPT" = 3 || ${BINARY} rerun --run-key k`;
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", again, "--", "true"]);
  await jobThat(box, "k", "has run three times", (job) => job.attempt_no === 3);
  expect(await hookedJob(box, "k")).toMatchObject({ attempt_no: 3, on_exit: again, on_exit_code: 0 });
});

test("rerun repeats the job's hook, or takes another", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", "echo one", "--", "true"]);
  await box.json(["rerun", "--sync", "--run-key", "k"]);
  expect(words(await hookedJob(box, "k"))).toBe("one\n");
  await box.json(["rerun", "--sync", "--run-key", "k", "--on-exit", "echo two"]);
  expect(words(await hookedJob(box, "k"))).toBe("two\n");
});

test("a hook that hangs is ended with all its processes, and recorded", async () => {
  await using box = new Sandbox();
  const hook = `trap "" TERM; echo stuck; sleep 600 & setsid sleep 600 & wait; wait`;
  await box.json([
    ...["start", "--sync", "--run-key", "k", "--on-exit-timeout", "2", "--on-exit", hook],
    ...["--", "true"],
  ]);
  expect(await hookedJob(box, "k")).toMatchObject({
    ...{ status: "SUCCEEDED", on_exit_code: -9, on_exit_error: "timed out after 2s: stuck" },
  });
  await until("nothing is left", () => box.processes().length === 0);
});

test("clean keeps a job whose hook has not ended, and later deletes its files too", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", gate.wait, "--", "true"]);
  for (const option of [["--dry-run"], []]) {
    const kept = await box.run(["clean", "--before", "2999-01-01", ...option]);
    expect(JSON.parse(kept.stdout)).toMatchObject({ deleted: 0, errors: 0 });
    expect(kept.stderr).toMatch(/^orchesjob: job \S+ is kept: its hook has not ended yet\n$/);
  }
  gate.open();
  await hookedJob(box, "k");
  await until("the runner has ended", () => box.processes().length === 0);
  expect(await box.json<object>(["clean", "--before", "2999-01-01"])).toMatchObject({
    deleted: 1,
    errors: 0,
  });
  const { stdout } = await box.execute([
    "find",
    join(box.home, "logs"),
    join(box.home, "locks"),
    "-type",
    "f",
  ]);
  expect(stdout).toBe("");
});

test("a job without a hook has null in the hook's fields", async () => {
  await using box = new Sandbox();
  await startWaiting(box, "k", new Gate(box)).then(() => box.json(["cancel", "--run-key", "k"]));
  expect(await finishedJob(box, "k")).toMatchObject({
    ...{ on_exit: null, on_exit_file: null, on_exit_code: null },
    ...{ on_exit_error: null, on_exit_finished_at: null },
  } as object);
});

test.each([
  [["--on-exit", ""], "--on-exit is empty"],
  [["--on-exit", " \n"], "--on-exit is empty"],
  [["--on-exit", "x".repeat(32_769)], "--on-exit has 32769 bytes"],
  [["--on-exit-timeout", "5m"], "--on-exit-timeout needs --on-exit"],
  [["--on-exit", "true", "--on-exit-timeout", "0"], "--on-exit-timeout must be a duration"],
])("a bad value of the hook options is refused: %p", async (options, message) => {
  await using box = new Sandbox();
  const refused = await box.run(["start", "--run-key", "k", ...options, "--", "true"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toStartWith(`orchesjob: ${message}`);
});
