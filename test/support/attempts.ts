/** Runs with several attempts (`--retries`), and their history. */
import type { JobAnswer, Sandbox } from "./sandbox.ts";

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
