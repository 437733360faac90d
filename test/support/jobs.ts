/** Waits for the states of jobs. */
import { readFileSync } from "node:fs";
import { type JobAnswer, type Sandbox, until } from "./sandbox.ts";

/** Polls the newest job of a key until the predicate holds; returns it. */
export function jobThat(
  box: Sandbox,
  runKey: string,
  what: string,
  wanted: (job: JobAnswer) => boolean,
): Promise<JobAnswer> {
  return until(`job of ${runKey} ${what}`, async () => {
    const result = await box.run(["status", "--run-key", runKey]);
    if (result.code === 3) return undefined;
    if (result.code !== 0) throw new Error(`status: exit ${result.code} ${result.signal}: ${result.stderr}`);
    const job = JSON.parse(result.stdout) as JobAnswer;
    return wanted(job) && job;
  });
}

/** Waits until the job's command runs; returns the job. */
export function runningJob(box: Sandbox, runKey: string): Promise<JobAnswer> {
  return jobThat(box, runKey, "runs", (job) => job.status === "RUNNING" && job.target_pid !== null);
}

/** Waits until the job is finished, whatever its result; returns the job. */
export function finishedJob(box: Sandbox, runKey: string): Promise<JobAnswer> {
  return jobThat(box, runKey, "is finished", (job) => job.status !== "RUNNING" && job.status !== "STARTING");
}

/** Starts a shell script, and waits until it runs `echo ready`, from which point the test may interfere. */
export async function startReady(box: Sandbox, runKey: string, script: string): Promise<JobAnswer> {
  const job = await box.json(["start", "--run-key", runKey, "--", "sh", "-c", script]);
  await until(`${runKey} is ready`, () => /^ready$/m.test(readFileSync(job.stdout_file, "utf8")));
  return job;
}
