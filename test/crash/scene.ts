/** A stage for one crash: a sandbox whose command testifies and waits at a gate, and the verdict on what is found afterwards. */
import { expect } from "bun:test";
import { Gate } from "../support/gate.ts";
import { type Finished, type JobAnswer, Sandbox, until } from "../support/sandbox.ts";
import { type Hit } from "../support/strace.ts";
import { readTestimony, untilQuiet, witness } from "../support/witness.ts";

export class Scene extends Sandbox {
  readonly gate: Gate;
  /** The call that was struck here. */
  hit: Hit;

  /** `template`: a directory to begin with a copy of. */
  constructor(template?: string) {
    super();
    if (template !== undefined) Bun.spawnSync(["cp", "-a", `${template}/.`, this.directory]);
    this.gate = new Gate(this, "this-gate");
  }

  /** Words that start the testifying command, which waits at the gate. */
  start(...options: readonly string[]): string[] {
    return ["start", "--run-key", "k", ...options, "--", ...witness(this.gate.wait)];
  }

  /** All jobs of a key, newest first. */
  async history(runKey = "k"): Promise<readonly JobAnswer[]> {
    const result = await this.run(["status", "--run-key", runKey, "--all"]);
    checkManners(result, [0, 3]);
    return result.code === 3 ? [] : (JSON.parse(result.stdout) as JobAnswer[]);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.gate.open();
    await super[Symbol.asyncDispose]();
  }
}

/** Exit codes of the contract, and never a stack trace (law 10). */
export function checkManners(result: Finished, codes: readonly number[]): void {
  const strangers = result.stderr
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("orchesjob: "));
  expect({ ...result, strangers }).toMatchObject({ signal: null, strangers: [] });
  expect(codes, result.stderr).toContain(result.code!);
}

/** What must be true after any crash of a command on key "k", found out by commands as a user would. */
export async function judge(scene: Scene): Promise<void> {
  const crashedAt = performance.now();
  const before = await scene.history();

  // Never twice: whatever is still alive (it waits at the gate), another start makes no second execution beside it.
  checkManners(await scene.run(scene.start()), [0, 4]);
  scene.gate.open();

  // Never stuck: at the latest when the orphans have ended, the key runs again.
  const retry = await until("the key runs again", async () => {
    const result = await scene.run(scene.start("--sync"));
    checkManners(result, [0, 4]);
    return result.code === 0 && (JSON.parse(result.stdout) as JobAnswer);
  });
  slowestRetry = Math.max(slowestRetry, performance.now() - crashedAt);
  expect(retry.status).toBe("SUCCEEDED");
  await untilQuiet(scene);

  // Never a false word: the history tells exactly what was executed, and what it once told it still tells.
  const after = await scene.history();
  expect(after[0]?.job_id).toBe(retry.job_id);
  checkHistory(after, scene);
  checkNothingLost(before, after);
}

/** The longest time, in ms, from a crash until its key had run again; for the report, nothing depends on it. */
export let slowestRetry = 0;

/** A result that was once told stands for ever (law 4). */
export function checkNothingLost(before: readonly JobAnswer[], after: readonly JobAnswer[]): void {
  for (const job of before.filter((known) => known.finished_at !== null)) {
    const told = after.find((known) => known.job_id === job.job_id);
    // How a command ends that outlives its job's end is told when it does.
    const late = job.status === "CANCELLED" && job.exit_code === null;
    const end = late ? { exit_code: told?.exit_code, signal: told?.signal } : {};
    expect(told).toEqual({ ...job, ...end, orphan_pids: [] } as JobAnswer);
  }
}

/** The whole history of a key, without active jobs, against what the executions themselves have testified. */
export function checkHistory(history: readonly JobAnswer[], box: Sandbox, runKey = "k"): void {
  const { started } = readTestimony(box, runKey);
  expect(history.map((job) => job.attempt_no)).toEqual(history.map((_, index) => history.length - index));
  const known = history.map((job) => job.job_id);
  expect(started.filter((id) => !known.includes(id))).toEqual([]);
  checkExecutions(history, box, runKey);
}

/** Jobs of a key that are not active, likewise. */
export function checkExecutions(jobs: readonly JobAnswer[], box: Sandbox, runKey: string): void {
  const { started, ended, overlapping } = readTestimony(box, runKey);
  expect(overlapping).toEqual([]);
  expect(new Set(started).size).toBe(started.length);
  for (const job of jobs) {
    const starts = started.filter((id) => id === job.job_id).length;
    const ends = ended.filter((id) => id === job.job_id).length;
    const told =
      job.status === "CANCELLED" ? job.status : `${job.status} ${job.lost_reason ?? job.exit_code}`;
    expect(EXECUTIONS[told]?.(starts, ends), `${told}, and ${starts} starts, ${ends} ends`).toBe(true);
  }
}

/** How often a job may have begun and ended, by what its record tells. Anything else is a false word. */
const EXECUTIONS: Record<string, (starts: number, ends: number) => boolean> = {
  "SUCCEEDED 0": (starts, ends) => starts === 1 && ends === 1,
  "FAILED -1": (starts) => starts === 0,
  "FAILED -9": (starts, ends) => starts <= 1 && ends === 0,
  "LOST start_interrupted": (starts) => starts === 0,
  "LOST worker_killed": (starts, ends) => starts <= 1 && ends <= starts,
  CANCELLED: (starts, ends) => starts <= 1 && ends <= starts,
};
