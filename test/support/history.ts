/** A history of jobs that took place long ago: rows in the database, as if they had run. */
import type { Sandbox } from "./sandbox.ts";
import { openDatabase } from "./database.ts";

export interface Past {
  readonly runKey: string;
  /** In seconds before now. */
  readonly startedAgo: number;
  readonly took: number;
  readonly status?: "SUCCEEDED" | "FAILED" | "LOST" | "CANCELLED";
}

/** Adds finished jobs; the state directory must exist. A key may not have jobs yet. Their logs do not exist. */
export function addHistory(box: Sandbox, jobs: readonly Past[]): void {
  using database = openDatabase(box);
  const insert = database.query(
    `insert into job_records (job_id, run_key, attempt_no, status, command, cwd, started_at, finished_at, exit_code, host, boot_id)
     values ($id, $runKey, $attempt, $status, '["/srv/bin/job","--all"]', '/srv', $started, $finished, $code, 'db1', 'b')`,
  );
  const attempts = new Map<string, number>();
  const now = Date.now() * 1000;
  database.run("begin immediate");
  for (const { runKey, startedAgo, took, status = "SUCCEEDED" } of jobs.toSorted(
    (a, b) => b.startedAgo - a.startedAgo,
  )) {
    const attempt = (attempts.get(runKey) ?? 0) + 1;
    attempts.set(runKey, attempt);
    const started = Math.floor(now - startedAgo * 1_000_000);
    insert.run({
      $id: Bun.randomUUIDv7("hex", Math.floor(started / 1000)),
      $runKey: runKey,
      $attempt: attempt,
      $status: status,
      $started: started,
      $finished: Math.floor(started + took * 1_000_000),
      $code: status === "SUCCEEDED" ? 0 : status === "FAILED" ? 1 : null,
    });
  }
  database.run("commit");
}
