/** `unlock`: one more run for a strict run key. */
import { OrchesjobError } from "../job/errors.ts";
import type { Instant } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { reconcile } from "./reconcile.ts";

/**
 * The permission lasts until it is used, or for `ttlMs`. Throws `not-found` for a key that never ran, and `conflict` while its
 * job is active.
 */
export async function unlockRunKey(
  context: Context,
  runKey: string,
  reason: string | null,
  ttlMs: number | null,
): Promise<{ readonly allowedAt: Instant; readonly expiresAt: Instant | null }> {
  const store = context.openStore();
  if (store !== undefined) await restoreUnknownJobs(context, store);
  const latest = await store?.latest(runKey);
  const hasRun = latest ?? (await store?.strictness(runKey, now()))?.strictJobId;
  // A mistyped key would lie in wait for its first run, and allow a second.
  if (store === undefined || hasRun === undefined) {
    throw new OrchesjobError(
      "not-found",
      `run key ${JSON.stringify(runKey)} has never run in ${context.home.path}, so there is nothing to unlock`,
      "is ORCHESJOB_HOME the one that it was started with?",
    );
  }
  // The permission would outlive the job, and let the key run again after an end that nobody has seen.
  const job = latest && (await reconcile(context, store, latest));
  if (job !== undefined && isActive(job.status)) {
    throw new OrchesjobError(
      "conflict",
      `cannot unlock ${JSON.stringify(runKey)}: job ${job.jobId} is ${job.status}`,
      `wait for its end, and unlock then if it shall run once more: orchesjob wait --job-id ${job.jobId}`,
    );
  }
  const allowedAt = now();
  const expiresAt = ttlMs === null ? null : allowedAt + ttlMs * 1000;
  await store.unlock(runKey, reason, allowedAt, expiresAt);
  return { allowedAt, expiresAt };
}
