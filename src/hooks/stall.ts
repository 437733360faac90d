/**
 * Runs the command of --on-stall, while its job runs. Unlike the hooks of a job's end it is not run again if the worker dies:
 * then the job is LOST, and its other hooks tell that.
 */
import { DEFAULT_HOOK_TIMEOUT_MS } from "../job/hook.ts";
import type { Job } from "../job/job.ts";
import { closeFile } from "../linux/file.ts";
import { debug } from "../state/debug.ts";
import { hookLog } from "../state/paths.ts";
import { execute, type HookStage, openOutput } from "./run.ts";

/** Resolves when the command has ended, or was ended because its time was over. */
export async function runStallHook(
  stage: Omit<HookStage, "retryingStore">,
  job: Job,
  command: string,
): Promise<void> {
  const log = hookLog(stage.context.home, job.jobId, "stall");
  const output = openOutput(stage.context, log);
  try {
    const order = { command, timeoutMs: DEFAULT_HOOK_TIMEOUT_MS };
    const { error } = await execute(stage, job, order, { kind: "stall", log, output });
    if (error !== null) debug?.note(`the command of --on-stall failed: ${error}`);
  } finally {
    closeFile(output);
  }
}
