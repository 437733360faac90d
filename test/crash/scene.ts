/**
 * The scene of one crash: a sandbox whose command records its executions and waits at a gate, and the checks of what
 * is found after the crash.
 */
import { expect } from "bun:test";
import { Gate } from "../support/gate.ts";
import { type Finished, type JobAnswer, Sandbox, until } from "../support/sandbox.ts";
import { type Hit } from "../support/strace.ts";
import { readExecutions, untilQuiet, witness } from "../support/witness.ts";

export class Scene extends Sandbox {
  readonly gate: Gate;
  /** The system call that was hit. */
  hit: Hit;

  /** `template`: a directory to begin with a copy of. */
  constructor(template?: string) {
    super();
    if (template !== undefined) Bun.spawnSync(["cp", "-a", `${template}/.`, this.directory]);
    this.gate = new Gate(this, "this-gate");
  }

  /** Words that start the recording command, which waits at the gate. */
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

/** Expects one of the contract's exit codes, and no stack trace. */
export function checkManners(result: Finished, codes: readonly number[]): void {
  const strangers = result.stderr
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("orchesjob: "));
  expect({ ...result, strangers }).toMatchObject({ signal: null, strangers: [] });
  expect(codes, result.stderr).toContain(result.code!);
}

/** Checks what must hold after any crash of a command on key "k", using commands as a user would. */
export async function judge(scene: Scene): Promise<void> {
  const crashedAt = performance.now();
  const before = await scene.history();

  // Never twice: while a command is alive (it waits at the gate), another start runs none beside it.
  checkManners(await scene.run(scene.start()), [0, 4]);
  scene.gate.open();

  // Never stuck: once the orphans have ended, the key runs again.
  const retry = await until("the key runs again", async () => {
    const result = await scene.run(scene.start("--sync"));
    checkManners(result, [0, 4]);
    return result.code === 0 && (JSON.parse(result.stdout) as JobAnswer);
  });
  slowestRetry = Math.max(slowestRetry, performance.now() - crashedAt);
  expect(retry.status).toBe("SUCCEEDED");
  await untilQuiet(scene);

  // Never false: the history matches the recorded executions, and earlier answers still hold.
  const after = await scene.history();
  expect(after[0]?.job_id).toBe(retry.job_id);
  checkHistory(after, scene);
  checkNothingLost(before, after);
}

/** The longest time, in ms, from a crash until its key had run again; only reported. */
export let slowestRetry = 0;

/** What a keeper may have recorded since a LOST job was answered; a record never changes. */
function lateOrphanEnd(job: JobAnswer, told: JobAnswer | undefined): Partial<JobAnswer> {
  if (job.status !== "LOST" || job.orphan_ended_at !== null || told === undefined) return {};
  const { orphan_ended_at, orphan_exit_code, orphan_signal } = told;
  return { orphan_ended_at, orphan_exit_code, orphan_signal };
}

/** Once a result was answered, it never changes. */
export function checkNothingLost(before: readonly JobAnswer[], after: readonly JobAnswer[]): void {
  for (const job of before.filter((known) => known.finished_at !== null)) {
    const told = after.find((known) => known.job_id === job.job_id);
    // If a command outlives its job's end, its exit status is recorded when it ends.
    const late = job.status === "CANCELLED" && job.exit_code === null;
    const end = late ? { exit_code: told?.exit_code, signal: told?.signal } : {};
    expect(told).toEqual({ ...job, ...end, ...lateOrphanEnd(job, told), orphan_pids: [] } as JobAnswer);
  }
}

/** Checks the whole history of a key without active jobs against what the executions recorded. */
export function checkHistory(history: readonly JobAnswer[], box: Sandbox, runKey = "k"): void {
  const { started } = readExecutions(box, runKey);
  expect(history.map((job) => job.attempt_no)).toEqual(history.map((_, index) => history.length - index));
  const known = history.map((job) => job.job_id);
  expect(started.filter((id) => !known.includes(id))).toEqual([]);
  checkExecutions(history, box, runKey);
}

/** The same for some jobs of a key that are not active. */
export function checkExecutions(jobs: readonly JobAnswer[], box: Sandbox, runKey: string): void {
  const { started, ended, overlapping } = readExecutions(box, runKey);
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

/** How often a job may have begun and ended according to its record; other counts mean a false record. */
const EXECUTIONS: Record<string, (starts: number, ends: number) => boolean> = {
  "SUCCEEDED 0": (starts, ends) => starts === 1 && ends === 1,
  "FAILED -1": (starts) => starts === 0,
  // The first attempt of a run that is tried again.
  "FAILED 7": (starts, ends) => starts === 1 && ends === 0,
  "FAILED -9": (starts, ends) => starts <= 1 && ends === 0,
  "LOST start_interrupted": (starts) => starts === 0,
  "LOST worker_killed": (starts, ends) => starts <= 1 && ends <= starts,
  CANCELLED: (starts, ends) => starts <= 1 && ends <= starts,
};
