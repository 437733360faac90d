/** A stage for one crash: a sandbox whose command testifies and waits at a gate, and the verdict on what is found afterwards. */
import { expect } from "bun:test";
import { type Finished, type JobAnswer, Sandbox, until } from "../support/sandbox.ts";
import { Gate, readTestimony, untilQuiet, witness } from "../support/witness.ts";

export const START = ["start", "--run-key", "k", "--"];
export const START_SYNC = ["start", "--run-key", "k", "--sync", "--"];
export const COMMAND = witness(Gate.WAIT);

export class Scene extends Sandbox {
  readonly gate: Gate;

  /** `template`: a directory to begin with a copy of. */
  constructor(template?: string) {
    super();
    if (template !== undefined) Bun.spawnSync(["cp", "-a", `${template}/.`, this.directory]);
    this.gate = new Gate(this);
  }

  /** All jobs of the key, newest first. */
  async history(runKey = "k"): Promise<readonly JobAnswer[]> {
    const result = await this.run(["status", "--run-key", runKey, "--all"]);
    checkManners(result, [0, 3]);
    return result.code === 3 ? [] : (JSON.parse(result.stdout) as JobAnswer[]);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.gate.open();
    this.gate[Symbol.dispose]();
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
  checkManners(await scene.run([...START, ...COMMAND]), [0, 4]);
  scene.gate.open();

  // Never stuck: at the latest when the orphans have ended, the key runs again.
  const retry = await until("the key runs again", async () => {
    const result = await scene.run([...START_SYNC, ...COMMAND]);
    checkManners(result, [0, 4]);
    return result.code === 0 && (JSON.parse(result.stdout) as JobAnswer);
  });
  slowest = Math.max(slowest, performance.now() - crashedAt);
  expect(retry.status).toBe("SUCCEEDED");
  await untilQuiet(scene);

  // Never a false word: the history tells exactly what was executed, and what it once told it still tells.
  const after = await scene.history();
  expect(after[0]?.job_id).toBe(retry.job_id);
  checkHistory(after, scene);
  for (const job of before.filter((known) => known.finished_at !== null))
    expect(after.find((known) => known.job_id === job.job_id)).toEqual({ ...job, orphan_pids: [] });
}

export let slowest = 0;

/** A history without active jobs, against what the executions themselves have testified. */
export function checkHistory(history: readonly JobAnswer[], scene: Sandbox): void {
  const { started, ended, overlapping } = readTestimony(scene);
  expect(overlapping).toEqual([]);
  expect(history.map((job) => job.attempt_no)).toEqual(history.map((_, index) => history.length - index));
  for (const job of history) {
    const starts = started.filter((id) => id === job.job_id).length;
    const ends = ended.filter((id) => id === job.job_id).length;
    const told = `${job.status} ${job.lost_reason ?? job.exit_code}`;
    expect(EXECUTIONS[told]?.(starts, ends), `${told}, and ${starts} starts, ${ends} ends`).toBe(true);
  }
  const known = history.map((job) => job.job_id);
  expect(started.filter((id) => !known.includes(id))).toEqual([]);
}

/** How often a job may have begun and ended, by what its record tells. Anything else is a false word. */
const EXECUTIONS: Record<string, (starts: number, ends: number) => boolean> = {
  "SUCCEEDED 0": (starts, ends) => starts === 1 && ends === 1,
  "FAILED -1": (starts) => starts === 0,
  "LOST start_interrupted": (starts) => starts === 0,
  "LOST worker_killed": (starts, ends) => starts <= 1 && ends === starts,
};
