/** Runs with several attempts (`--retries`), and their history. */
import { Database } from "bun:sqlite";
import { copyFileSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Gate } from "./gate.ts";
import { jobThat, runningJob } from "./jobs.ts";
import { openFiles } from "./processes.ts";
import { type JobAnswer, type Sandbox, until } from "./sandbox.ts";
import { witness } from "./witness.ts";

export interface AttemptAnswer extends JobAnswer {
  readonly retries: number;
  readonly retries_left: number;
  readonly retry_of_job_id: string | null;
  readonly retry_at: string | null;
  readonly retried_by_job_id: string | null;
}

/** All attempts of a key, the first one first. */
export async function attemptsOf(box: Sandbox, runKey = "k"): Promise<readonly AttemptAnswer[]> {
  return (await box.json<AttemptAnswer[]>(["status", "--run-key", runKey, "--all"])).reverse();
}

/** Words that start a command which fails at once, and waits an hour for its second attempt. */
export function failing(...options: readonly string[]): readonly string[] {
  const words = ["--run-key", "k", "--retries", "3", "--retry-delay", "1h", ...options];
  return [...words, "--", "sh", "-c", 'test "$ORCHESJOB_ATTEMPT" -gt 1'];
}

/** Long enough to put the backup back. */
const PAUSE = "4";

/** Leads a run to its second attempt, which waits, and puts back the database from before the run, or its first attempt. */
export async function putBackDatabase(box: Sandbox, gate: Gate, isBeforeRun: boolean): Promise<number> {
  const database = join(box.home, "orchesjob.db");
  const backUp = () => {
    using source = new Database(database);
    source.query("vacuum into ?").run(`${database}.old`);
  };
  await box.json(["start", "--run-key", "other", "--sync", "--", "true"]);
  if (isBeforeRun) backUp();
  const command = witness(`test $ORCHESJOB_ATTEMPT -gt 1 || { ${gate.wait}; exit 7; }`);
  const options = ["--request-id", "r", "--retries", "1", "--retry-delay", PAUSE];
  const debug = join(box.directory, "debug");
  const env = { ORCHESJOB_DEBUG: debug };
  await box.json(["start", "--run-key", "k", ...options, "--", ...command], { env });
  await runningJob(box, "k");
  if (!isBeforeRun) backUp();
  gate.open();
  const waiting = await jobThat(box, "k", "waits", (job) => job.attempt_no === 2);
  const worker = waiting.worker_pid!;
  await until("the worker rests", () => / waits \d+ ms for its attempt/.test(readFileSync(debug, "utf8")));
  await until("the database is closed", () =>
    openFiles(worker).every((path) => !path.includes("orchesjob.db")),
  );
  for (const suffix of ["-wal", "-shm"]) rmSync(database + suffix, { force: true });
  copyFileSync(`${database}.old`, `${database}.new`);
  renameSync(`${database}.new`, database);
  return worker;
}
