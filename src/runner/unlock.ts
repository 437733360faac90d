/** `unlock`: one more run for a strict run key. */
import type { Instant } from "../job/job.ts";
import { now } from "../os/clock.ts";
import type { Context } from "./context.ts";

/** The permission lasts until it is used, or for `ttlMs`. */
export async function unlockRunKey(
  context: Context,
  runKey: string,
  reason: string | null,
  ttlMs: number | null,
): Promise<{ readonly allowedAt: Instant; readonly expiresAt: Instant | null }> {
  const allowedAt = now();
  const expiresAt = ttlMs === null ? null : allowedAt + ttlMs * 1000;
  await context.createStore().unlock(runKey, reason, allowedAt, expiresAt);
  return { allowedAt, expiresAt };
}
