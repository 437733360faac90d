/**
 * A hook whose runner was killed runs again once the first run has ended, started by whichever command sees the job.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { type HookedJob, hookedJob, lineIn } from "../support/hooks.ts";
import { findProcesses, killAndWait, killWorker, stop } from "../support/processes.ts";
import { BINARY, isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { readExecutions, witness } from "../support/witness.ts";

setDefaultTimeout(TIMEOUT_MS);

/** A finished job whose worker and hook were killed, which no command has noticed yet. */
async function jobWithDeadHook(box: Sandbox, runKey: string, rest: string): Promise<JobAnswer> {
  const pid = join(box.directory, `${runKey}.pid`);
  const hook = `if test -e ${pid}; then ${rest}; else echo $$ > ${pid}; exec sleep 600; fi`;
  const job = await box.json(["start", "--sync", "--run-key", runKey, "--on-exit", hook, "--", "true"]);
  const shell = Number(await lineIn(pid));
  await killWorker(job);
  await killAndWait(shell);
  return job;
}

test.each([
  ["status", (key: string) => ["status", "--run-key", key]],
  ["status --all", (key: string) => ["status", "--run-key", key, "--all"]],
  ["list", () => ["list"]],
  ["wait", (key: string) => ["wait", "--run-key", key]],
  ["logs", (key: string) => ["logs", "--run-key", key]],
  ["result", (key: string) => ["result", "--run-key", key]],
  ["start", (key: string) => ["start", "--sync", "--run-key", key, "--", "true"]],
  [
    "start --if-succeeded",
    (key: string) => ["start", "--sync", "--run-key", key, "--if-succeeded", "return", "--", "true"],
  ],
  ["run", (key: string) => ["run", "--run-key", key, "--", "true"]],
  ["rerun", (key: string) => ["rerun", "--sync", "--run-key", key]],
  ["clean", () => ["clean", "--before", "2999-01-01"]],
])("%s starts an overdue hook, without a message", async (_, args) => {
  await using box = new Sandbox();
  const { job_id } = await jobWithDeadHook(box, "k", "pwd; echo again");
  const result = await box.run(args("k"));
  expect(result).toMatchObject({ code: 0 });
  if (args("k")[0] !== "clean") expect(result.stderr).toBe("");
  const log = () => readFileSync(join(box.home, `logs/${job_id}.hook`), "utf8");
  await until("the hook has run", () => log().endsWith("again\n"));
  await until("nobody is left", () => box.processes().length === 0);
  expect(log()).toBe(`${box.directory}\nagain\n`);
});

test("a command that starts an overdue hook keeps its own directory and environment for what it starts itself", async () => {
  await using box = new Sandbox();
  await jobWithDeadHook(box, "k", "echo again");
  const script = 'pwd; echo "${ORCHESJOB_HOOK-none}"';
  const result = await box.run(["run", "--run-key", "k", "--", "sh", "-c", script]);
  expect(result).toMatchObject({ code: 0, stdout: `${box.directory}\nnone\n`, stderr: "" });
});

test("the hook of a lost job runs in the job's directory, with the job's --env", async () => {
  await using box = new Sandbox();
  const hook = 'pwd; echo "$ASKED,$OWN"';
  const start = ["start", "--run-key", "k", "--env", "ASKED=1", "--on-exit", hook, "--", "sleep", "600"];
  const job = await box.json(start, { env: { OWN: "first" } });
  await killWorker(job);
  await killAndWait(job.target_pid!);
  await box.run(["status", "--run-key", "k"], { cwd: "/", env: { OWN: "second" } });
  expect(readFileSync((await hookedJob(box, "k")).on_exit_file!, "utf8")).toBe(
    `${box.directory}\n1,second\n`,
  );
});

test("a hook that outlived its runner ends before the hook runs again: never two at the same time", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = witness(`echo begun > begun; ${gate.wait}`)[2]!;
  const job = await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "true"]);
  await lineIn(join(box.directory, "begun"));
  await killWorker(job);
  await box.run(["status", "--run-key", "k"]);
  const [runner] = await until("a runner", () => {
    const found = findProcesses(box, "_hook");
    return found.length > 0 && found;
  });
  // The runner waits as long as the first run; a second runner waits for it.
  await box.run(["list"]);
  expect(readExecutions(box, "k").started).toHaveLength(1);
  expect(isAlive(runner!)).toBe(true);
  gate.open();
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0 });
  const { started, ended, overlapping } = readExecutions(box, "k");
  expect({ started: started.length, ended: ended.length, overlapping }).toEqual({
    ...{ started: 2, ended: 2, overlapping: [] },
  });
});

function openFiles(pid: number): string[] {
  const linkOf = (fd: string) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      // Closed meanwhile.
      return "";
    }
  };
  return readdirSync(`/proc/${pid}/fd`).map(linkOf);
}

/** How often a process has gone to sleep. */
function sleepsOf(pid: number): number {
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

test("a hook that outlived its runner is waited for even if its output goes elsewhere", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = witness(`echo begun > begun; ${gate.wait}`)[2]!;
  writeFileSync(join(box.directory, "hook.sh"), `${script}\n`);
  const hook = "exec sh hook.sh > /dev/null 2>&1";
  const job = await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "true"]);
  await lineIn(join(box.directory, "begun"));
  await killWorker(job);
  await box.run(["status", "--run-key", "k"]);
  const runner = await until("a runner", () => findProcesses(box, "_hook")[0]);
  // The runner sleeps between two looks; one that did not look would begin at once.
  const log = join(box.home, `logs/${job.job_id}.hook`);
  await until("the runner has begun", () => openFiles(runner).includes(log));
  const before = sleepsOf(runner);
  await until("the runner has looked some times", () => sleepsOf(runner) > before + 4);
  expect(readExecutions(box, "k").started).toHaveLength(1);
  gate.open();
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0 });
  expect(readExecutions(box, "k").overlapping).toEqual([]);
});

test("a hook whose runner dies while it begins still reads the whole job", async () => {
  await using box = new Sandbox();
  const hook = "test -e input || { kill -9 $PPID; cat > input.new; mv input.new input; }";
  const words = ["x".repeat(120_000), "y".repeat(120_000)];
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "true", ...words]);
  const input = join(box.directory, "input");
  await until("the hook has read", () => existsSync(input));
  expect(JSON.parse(readFileSync(input, "utf8"))).toMatchObject({
    run_key: "k",
    command: ["true", ...words],
  });
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0 });
});

test("a hook that outlived its runner and hangs is ended when its time is over", async () => {
  await using box = new Sandbox();
  // The hook stops the worker, so that the worker is not the one that ends it.
  const once = "test -e pid || { kill -STOP $PPID; echo $$ > pid; setsid sleep 600 & sleep 600; sleep 600; }";
  const options = ["--on-exit-timeout", "1", "--on-exit", once];
  const job = await box.json(["start", "--sync", "--run-key", "k", ...options, "--", "true"]);
  const shell = Number(await lineIn(join(box.directory, "pid")));
  await killWorker(job);
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0, on_exit_error: null });
  expect(isAlive(shell)).toBe(false);
});

test("the hooks of many lost jobs all run, each once, after one look-up", async () => {
  await using box = new Sandbox();
  const keys = Array.from({ length: 9 }, (_, index) => `k${index}`);
  for (const key of keys) {
    const job = await box.json(["start", "--run-key", key, "--on-exit", "echo ran", "--", "sleep", "600"]);
    await killWorker(job);
    await killAndWait(job.target_pid!);
  }
  const jobs = await box.json<HookedJob[]>(["list"]);
  expect(jobs.map((job) => job.status)).toEqual(keys.map(() => "LOST"));
  const words = () =>
    jobs.map((job) => existsSync(job.on_exit_file!) && readFileSync(job.on_exit_file!, "utf8"));
  await until("all have run", () => words().every((text) => text === "ran\n"));
  await until("nobody is left", () => box.processes().length === 0);
  expect(words()).toEqual(keys.map(() => "ran\n"));
  for (const job of await box.json<HookedJob[]>(["list"])) expect(job).toMatchObject({ on_exit_code: 0 });
});

test("a look-up from within a job's command starts an overdue hook that does not belong to that job", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await jobWithDeadHook(box, "k", `echo second > second; ${gate.wait}`);
  const outer = await box.json([
    "start",
    "--run-key",
    "outer",
    "--",
    "sh",
    "-c",
    `${BINARY} status --run-key k; sleep 600`,
  ]);
  await lineIn(join(box.directory, "second"));
  expect(await box.json<object>(["cancel", "--run-key", "outer"])).toMatchObject({
    job_id: outer.job_id,
    survivors: [],
  });
  expect(findProcesses(box, "_hook")).toHaveLength(1);
  gate.open();
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0 });
});

test("a running hook does not keep a new database from being made", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = `echo begun > begun; ${gate.wait}`;
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "true"]);
  await lineIn(join(box.directory, "begun"));
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(box.home, `orchesjob.db${suffix}`), { force: true });
  expect(await box.json(["start", "--sync", "--run-key", "k", "--", "true"])).toMatchObject({
    attempt_no: 1,
  });
});

test("deleting a hook's lock file does not cause a second run", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const hook = witness(`echo begun > begun; ${gate.wait}`)[2]!;
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", hook, "--", "true"]);
  await lineIn(join(box.directory, "begun"));
  rmSync(join(box.home, "locks"), { recursive: true });
  await box.json(["list"]);
  gate.open();
  expect(await hookedJob(box, "k")).toMatchObject({ on_exit_code: 0 });
  await until("nobody is left", () => box.processes().length === 0);
  expect(readExecutions(box, "k")).toMatchObject({ overlapping: [] });
  expect(readExecutions(box, "k").started).toHaveLength(1);
});

test("a cancel in place of a worker that cannot respond also runs the hook", async () => {
  await using box = new Sandbox();
  const hook = 'echo "$ORCHESJOB_STATUS"';
  const job = await box.json(["start", "--run-key", "k", "--on-exit", hook, "--", "sleep", "600"]);
  rmSync(join(box.home, "locks"), { recursive: true });
  await stop(job.worker_pid!);
  await box.json(["cancel", "--run-key", "k"]);
  const log = join(box.home, `logs/${job.job_id}.hook`);
  expect(await lineIn(log)).toBe("CANCELLED\n");
  await until("nobody is left", () => box.processes().length === 0);
  expect(await hookedJob(box, "k")).toMatchObject({ status: "CANCELLED", on_exit_code: 0 });
});

test("clean deletes what hooks of deleted jobs have left, and nothing of overdue hooks", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await box.json(["start", "--sync", "--run-key", "k", "--on-exit", gate.wait, "--", "true"]);
  await until("the hook has its log", () => readdirSync(join(box.home, "logs")).length === 3);
  const gone = `${Bun.randomUUIDv7()}.hook`;
  for (const folder of ["logs", "locks"]) {
    writeFileSync(join(box.home, folder, gone), "");
    for (const name of readdirSync(join(box.home, folder)))
      utimesSync(join(box.home, folder, name), 1_000_000, 1_000_000);
  }
  const clean = ["clean", "--keep", "9", "--older-than", "7d"];
  expect(await box.json<object>(clean)).toMatchObject({ deleted: 0, stray_files: 2 });
  expect(readdirSync(join(box.home, "locks"))).toHaveLength(1);
  expect(readdirSync(join(box.home, "logs"))).toHaveLength(3);
});
