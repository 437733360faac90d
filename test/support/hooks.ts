/** Jobs with hooks, and what their records say about them. */
import { existsSync, readFileSync } from "node:fs";
import { type JobAnswer, type Sandbox, until } from "./sandbox.ts";

export interface HookedJob extends JobAnswer {
  readonly on_exit: string | null;
  readonly on_exit_file: string | null;
  readonly on_exit_code: number | null;
  readonly on_exit_error: string | null;
  readonly on_exit_finished_at: string | null;
}

/** Waits for the recorded end of the hook of the key's newest job. Each look is a command that runs overdue hooks. */
export function hookedJob(box: Sandbox, runKey: string): Promise<HookedJob> {
  return until(`the hook of ${runKey} is recorded`, async () => {
    const job = await box.json<HookedJob>(["status", `--run-key=${runKey}`]);
    return job.on_exit_finished_at !== null && job;
  });
}

/** Waits until a file has a complete line, and returns its content. */
export function lineIn(path: string): Promise<string> {
  return until(`a line in ${path}`, () => {
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    return text.endsWith("\n") && text;
  });
}
