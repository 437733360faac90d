/** `unlock`: one more run for a strict run key. */
import { OrchesjobError } from "../job/errors.ts";
import type { Instant } from "../job/job.ts";
import { now } from "../os/clock.ts";
import type { Context } from "./context.ts";

/** The permission lasts until it is used, or for `ttlMs`. Throws `not-found` for a key that never ran. */
export async function unlockRunKey(
  context: Context,
  runKey: string,
  reason: string | null,
  ttlMs: number | null,
): Promise<{ readonly allowedAt: Instant; readonly expiresAt: Instant | null }> {
  const store = context.openStore();
  const hasRun =
    store && ((await store.latest(runKey)) ?? (await store.strictness(runKey, now())).strictJobId);
  // A mistyped key would lie in wait for its first run, and allow a second.
  if (store === undefined || hasRun === undefined) {
    throw new OrchesjobError(
      "not-found",
      `run key ${JSON.stringify(runKey)} has never run in ${context.home.path}, so there is nothing to unlock; is ORCHESJOB_HOME the one that it was started with?`,
    );
  }
  const allowedAt = now();
  const expiresAt = ttlMs === null ? null : allowedAt + ttlMs * 1000;
  await store.unlock(runKey, reason, allowedAt, expiresAt);
  return { allowedAt, expiresAt };
}
