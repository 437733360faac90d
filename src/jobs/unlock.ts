/** `unlock`: allows a strict run key one more run. */
import { OrchesjobError } from "../job/errors.ts";
import type { Instant } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { reconcile } from "./reconcile.ts";

/**
 * Records a permission that lasts until it is used, at most `ttlMs` (null: no limit). Throws `not-found` for a key that has never
 * run, and `conflict` while its job is active.
 */
export async function unlockRunKey(
  context: Context,
  runKey: string,
  reason: string | null,
  ttlMs: number | null,
): Promise<{ readonly allowedAt: Instant; readonly expiresAt: Instant | null }> {
  const store = context.openStore();
  if (store !== undefined) await restoreUnknownJobs(context, store);
  const keys = store && ((await context.openFleet())?.keys(store) ?? store);
  const latest = await keys?.latest(runKey);
  const hasRun = latest ?? (await keys?.strictness(runKey, now()))?.strictJobId;
  // Refuse an unknown key: it may be mistyped, and the permission would later allow that key a second run.
  if (store === undefined || keys === undefined || hasRun === undefined) {
    throw new OrchesjobError(
      "not-found",
      `run key ${JSON.stringify(runKey)} has never run in ${context.home.path}, so there is nothing to unlock`,
      "was it started with the same ORCHESJOB_HOME?",
    );
  }
  // Refuse while the job is active: nobody knows yet how it will end, and whether the key should run again.
  const job = latest && (await reconcile(context, store, latest));
  if (job !== undefined && isActive(job.status)) {
    throw new OrchesjobError(
      "conflict",
      `cannot unlock ${JSON.stringify(runKey)}: job ${job.jobId} is ${job.status}`,
      `wait for its end, then unlock it if it must run once more: orchesjob wait --job-id ${job.jobId}`,
    );
  }
  const allowedAt = now();
  const expiresAt = ttlMs === null ? null : allowedAt + ttlMs * 1000;
  await keys.unlock(runKey, reason, allowedAt, expiresAt);
  return { allowedAt, expiresAt };
}
