/** What becomes of the processes that a lost job has left: a keeper waits for them, and records it. LOST stays LOST. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { startReady } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import {
  cpuSeconds,
  findProcesses,
  killAndWait,
  killWorker,
  readProc,
  sleeps,
  statusOf,
  stop,
  watchesProcesses,
} from "../support/processes.ts";
import { isAlive, type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const UNKNOWN = { orphan_ended_at: null, orphan_exit_code: null, orphan_signal: null };

const look = (box: Sandbox) => statusOf(box, "k");
const keepersOf = (box: Sandbox) => findProcesses(box, "_copy");
const lockOf = (box: Sandbox, job: JobAnswer) => join(box.home, "locks", `${job.job_id}.keeper`);

/** A lost job whose command waits at the gate and then does `after`. Nobody has looked at it. */
async function loseWaiting(
  box: Sandbox,
  gate: Gate,
  after: string,
  ...options: string[]
): Promise<JobAnswer> {
  const script = `${gate.wait}; ${after}`;
  const job = await box.json(["start", "--run-key", "k", ...options, "--", "sh", "-c", script]);
  await killWorker(job);
  return job;
}

/** Looks, and returns the one keeper that has the job then. */
async function keeperOf(box: Sandbox, job: JobAnswer): Promise<number> {
  expect(await look(box)).toMatchObject({ status: "LOST", orphan_pids: [job.target_pid!], ...UNKNOWN });
  return until("one keeper", () => {
    const [keeper, ...others] = keepersOf(box);
    return others.length === 0 && keeper !== undefined && watchesProcesses(keeper) && keeper;
  });
}

/** Waits for the record without a look at the job that could start anybody. */
async function recorded(box: Sandbox): Promise<JobAnswer> {
  await until("no keeper is left", () => keepersOf(box).length === 0);
  return look(box);
}

test("the first look starts one keeper, which records how the command ended; the key is free then", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "exit 7");
  const all = await Promise.all(Array.from({ length: 5 }, () => box.run(["status", "--run-key", "k"])));
  expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
  await keeperOf(box, job);
  const before = new Date().toISOString();
  gate.open();
  await until("the command ends", () => !isAlive(job.target_pid!));
  const started = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
  expect(started).toMatchObject({ existing: false, attempt_no: 2, status: "SUCCEEDED" });
  await until("no keeper is left", () => keepersOf(box).length === 0);
  const lost = await box.json(["status", "--job-id", job.job_id]);
  expect(lost).toMatchObject({
    status: "LOST",
    exit_code: null,
    signal: null,
    orphan_pids: [],
    orphan_exit_code: 7,
    orphan_signal: null,
  });
  expect(Date.parse(lost.orphan_ended_at!)).toBeGreaterThanOrEqual(Date.parse(before));
  expect(Date.parse(lost.orphan_ended_at!)).toBeLessThanOrEqual(Date.now());
  expect(existsSync(lockOf(box, job))).toBe(false);
});

test("a signal that ended it is known, and that cancel sent it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "true");
  await keeperOf(box, job);
  await box.json(["cancel", "--run-key", "k"]);
  const end = { status: "LOST", orphan_exit_code: -15, orphan_signal: "SIGTERM", cancel_reason: null };
  expect(await recorded(box)).toMatchObject(end);
});

test("descendants are waited for, too; the code is that of the command, which ended before them", async () => {
  await using box = new Sandbox();
  await using command = new Gate(box, "command");
  await using descendant = new Gate(box, "descendant");
  const script = `setsid sh -c '${descendant.wait}' & echo ready; ${command.wait}; exit 3`;
  const job = await startReady(box, "k", script);
  await killWorker(job);
  await look(box);
  await until("a keeper", () => keepersOf(box).some(watchesProcesses));
  command.open();
  await until("the command ends", () => !isAlive(job.target_pid!));
  const still = await look(box);
  expect(still).toMatchObject(UNKNOWN);
  expect(still.orphan_pids.length).toBeGreaterThan(0);
  descendant.open();
  expect(await recorded(box)).toMatchObject({ orphan_pids: [], orphan_exit_code: 3 });
});

test("a keeper that was killed is replaced by the next look", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "exit 5");
  const first = await keeperOf(box, job);
  await killAndWait(first);
  expect(await keeperOf(box, job)).not.toBe(first);
  gate.open();
  expect(await recorded(box)).toMatchObject({ orphan_exit_code: 5 });
});

test("without a keeper nobody knows how it ended, and a look at a job without orphans starts none", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "exit 5");
  await killAndWait(await keeperOf(box, job));
  gate.open();
  await until("the command ends", () => !isAlive(job.target_pid!));
  expect(await look(box)).toMatchObject({ status: "LOST", orphan_pids: [], ...UNKNOWN });
  expect(keepersOf(box)).toEqual([]);
  expect(await box.json(["start", "--run-key", "k", "--sync", "--", "true"])).toMatchObject({
    attempt_no: 2,
  });
});

test("with --output pipe the process that copies the output on is the keeper", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "echo copied; exit 6", "--output", "pipe");
  await keeperOf(box, job);
  gate.open();
  expect(await recorded(box)).toMatchObject({ orphan_exit_code: 6 });
  expect(readFileSync(job.stdout_file, "utf8")).toEndWith("copied\n");
});

test("copying much output, the keeper learns of the end all the same", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const bytes = 40_000_000;
  const job = await loseWaiting(box, gate, `head -c ${bytes} /dev/zero; exit 4`, "--output", "pipe");
  await keeperOf(box, job);
  gate.open();
  expect(await recorded(box)).toMatchObject({ orphan_exit_code: 4 });
  expect(readFileSync(job.stdout_file).length).toBeGreaterThanOrEqual(bytes);
});

test("a keeper that waits costs nothing", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "true");
  const keeper = await keeperOf(box, job);
  const before = { cpu: cpuSeconds(keeper), sleeps: sleeps(keeper) };
  await Bun.sleep(2_000);
  expect(cpuSeconds(keeper) - before.cpu).toBeLessThanOrEqual(0.04);
  expect(sleeps(keeper) - before.sleeps).toBeLessThanOrEqual(1);
  gate.open();
});

const [major, minor] = release().split(".").map(Number);
const TELLS = major! > 6 || (major === 6 && minor! >= 15);

(TELLS ? test : test.skip)("the kernel tells how a command ended that was reaped meanwhile", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "exit 9");
  const keeper = await keeperOf(box, job);
  await stop(keeper);
  gate.open();
  await until("the command is reaped", () => !existsSync(`/proc/${job.target_pid}`));
  process.kill(keeper, "SIGCONT");
  expect(await recorded(box)).toMatchObject({ orphan_exit_code: 9 });
});

testWith(
  ["strace"],
  "a keeper that is killed while it records has recorded all or nothing, and the key is free",
  async () => {
    const recordedCodes: (number | null)[] = [];
    // The first eight writes prepare the shared memory of the database.
    for (const when of [1, 9, 10, 11, 12, 13, 1_000]) {
      await using box = new Sandbox();
      await using gate = new Gate(box);
      const job = await loseWaiting(box, gate, "exit 5");
      const keeper = await keeperOf(box, job);
      const inject = ["-e", "trace=pwrite64", "-e", `inject=pwrite64:signal=SIGKILL:when=${when}`];
      const tracer = box.spawn(["strace", "-f", "-qq", "-o", "/dev/null", ...inject, "-p", String(keeper)]);
      await until("it is traced", () => readProc(keeper, "status").includes(`TracerPid:\t${tracer.pid}\n`));
      gate.open();
      await box.finished(tracer);
      const seen = await look(box);
      expect(seen).toMatchObject({ status: "LOST", orphan_pids: [] });
      expect(seen.orphan_ended_at === null).toBe(seen.orphan_exit_code === null);
      recordedCodes.push(seen.orphan_exit_code);
      const next = await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
      expect(next).toMatchObject({ attempt_no: 2, status: "SUCCEEDED" });
      expect(keepersOf(box)).toEqual([]);
    }
    expect(recordedCodes[0]).toBe(null);
    expect(recordedCodes.at(-1)).toBe(5);
  },
);

test("run --request-id and the table tell it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await loseWaiting(box, gate, "exit 7", "--request-id", "r");
  await keeperOf(box, job);
  gate.open();
  await recorded(box);
  const again = await box.run(["run", "--run-key", "k", "--request-id", "r", "--", ...job.command]);
  expect(again.code).toBe(125);
  expect(again.stderr).toContain(
    "its worker is gone, so its result is unknown; later its command ended with exit code 7;",
  );
  const table = await box.run(["list", "--format", "table"]);
  expect(table.stdout).toMatch(/ LOST +\(7\) /);
});
