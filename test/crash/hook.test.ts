/**
 * Kills the process that runs a hook, or fails its calls, at any point: the hook runs all the same, and never twice
 * at the same time.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { Gate } from "../support/gate.ts";
import { type HookedJob, lineIn } from "../support/hooks.ts";
import { killAndWait, killWorker } from "../support/processes.ts";
import { type JobAnswer, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { type Fault, strike, strikeWorker } from "../support/strace.ts";
import { readExecutions, untilQuiet, witness } from "../support/witness.ts";
import { checkManners, type Scene } from "./scene.ts";
import { testSweep } from "./sweep.ts";
import { join } from "node:path";

setDefaultTimeout(TIMEOUT_MS);

/** Records in the sandbox even if the job's directory cannot be entered. */
const ENTER = `cd "$ORCHESJOB_HOME/.." || exit\n`;
const HOOK = `${ENTER}${witness("cat > /dev/null")[2]!}`;

function start(hook: string, ...command: readonly string[]): string[] {
  return ["start", "--run-key", "k", "--on-exit", hook, "--", ...command];
}

async function strikeTheWorker(scene: Scene, fault: Fault): Promise<void> {
  // The command waits until strace is attached to the worker.
  const { launcher, hit } = await strikeWorker(scene, fault, start(HOOK, ...scene.gate.command));
  scene.gate.open();
  scene.hit = await hit;
  checkManners(await launcher, [0]);
}

/** Injects the fault into a process that runs an overdue hook, after the first run and its worker were killed. */
async function strikeTheRunner(scene: Scene, fault: Fault): Promise<void> {
  await using gate = new Gate(scene, "hook-gate");
  const hook = `${ENTER}test -e begun || { echo $$ > begun; ${gate.wait}; exit; }\n${HOOK}`;
  const job: JobAnswer = await scene.json(start(hook, "true"));
  const shell = Number(await lineIn(join(scene.directory, "begun")));
  await killWorker(job);
  await killAndWait(shell);
  const { hit } = await strike(scene, fault, ["_hook", "--home", scene.home, "--job-id", job.job_id]);
  scene.hit = hit;
}

async function judgeHook(scene: Scene): Promise<void> {
  const jobs = await until("the hooks are recorded", async () => {
    const history = (await scene.history()) as readonly HookedJob[];
    return history.every((job) => job.on_exit_finished_at !== null) && history;
  });
  await untilQuiet(scene);
  const { started, ended, overlapping } = readExecutions(scene, "k");
  expect(overlapping).toEqual([]);
  // A job whose start was interrupted has a hook too; a start that accepted no job has none.
  for (const { job_id } of jobs) expect(ended).toContain(job_id);
  expect(started.filter((id) => !jobs.some((job) => job.job_id === id))).toEqual([]);
  // The key runs again, and earlier answers about the job still hold.
  await scene.json(["start", "--sync", "--run-key", "k", "--", "true"]);
  expect((await scene.history()).slice(1)).toEqual([...jobs]);
}

testSweep("a worker that is killed before, during or after its hook leaves one that runs", "killed", {
  strike: strikeTheWorker,
  judge: judgeHook,
});

testSweep("a process that is killed while it runs an overdue hook leaves one that runs", "killed", {
  strike: strikeTheRunner,
  judge: judgeHook,
});

testSweep("a worker whose calls fail runs its hook, or leaves it to the next command", "failing", {
  strike: strikeTheWorker,
  judge: judgeHook,
  long: true,
});

testSweep("a process whose calls fail while it runs an overdue hook leaves one that runs", "failing", {
  strike: strikeTheRunner,
  judge: judgeHook,
  long: true,
});
