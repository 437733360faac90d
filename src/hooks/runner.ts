/** The process that runs overdue hooks: of lost jobs, and of jobs whose worker was killed before its hook had run. */
import { nameProcess } from "../linux/caller.ts";
import { takeLock } from "../linux/file-lock.ts";
import { makeDirectory } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { hookLock } from "../state/paths.ts";
import { RetryingStore } from "../state/retrying-store.ts";
import { type HookStage, runHooks } from "./run.ts";
import { waitAtHookGate } from "./spawn.ts";

export interface HookRunnerRequest {
  readonly jobIds: readonly string[];
  readonly describe: HookStage["describe"];
  readonly fileLimit: bigint | undefined;
}

export async function runOverdueHooks(
  context: Context,
  { jobIds, describe, fileLimit }: HookRunnerRequest,
): Promise<void> {
  nameProcess();
  waitAtHookGate();
  // Take all locks at once, so that nobody starts another runner for a job that waits here.
  const taken = jobIds.flatMap((jobId) => {
    const lock = takeHookLock(context, jobId);
    return lock === undefined ? [] : [{ jobId, lock }];
  });
  const retryingStore = new RetryingStore(context);
  for (const { jobId, lock } of taken) {
    debug?.about(jobId);
    const job = await retryingStore.write((store) => store.find(jobId));
    const directory = job === undefined || job.cwd === "" ? "/" : job.cwd;
    await runHooks({ context, retryingStore, describe, settings: { fileLimit, directory } }, jobId, lock);
  }
}

/**
 * Takes the lock of a job's hook. Undefined if another process has it, or it cannot be taken: then the next command that looks
 * at the job tries.
 */
export function takeHookLock(context: Context, jobId: string): number | undefined {
  try {
    makeDirectory(context.home.locks);
    const lock = takeLock(hookLock(context.home, jobId));
    debug?.note(`${lock === undefined ? "somebody else has" : "took"} the lock of the hook of job ${jobId}`);
    return lock;
  } catch (error) {
    debug?.note(`cannot take the lock of the hook of job ${jobId}`, error);
    // The worker must record its result, whatever becomes of the hook.
    return undefined;
  }
}
