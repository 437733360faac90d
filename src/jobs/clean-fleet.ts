/** `clean --fleet`: deletes finished jobs from the registry, which is a copy. The jobs and logs on their hosts stay. */
import type { Instant } from "../job/job.ts";
import type { FleetMember } from "../fleet/member.ts";
import type { CleanCursor, Registry } from "../fleet/registry.ts";
import type { CleanedJob } from "../store/store.ts";

/** Jobs looked at in one transaction: few enough that each is far from the deadline of a question. */
const BATCH = 1_000;

/**
 * Deletes the jobs of all members that ended before a time, except the newest `keep` finished ones of each key, and those that
 * hold their key. Returns how many. `progress` is called after each batch with the number so far. With `dryRun` it deletes
 * nothing, and calls that with each job that it would delete. Throws OrchesjobError.
 */
export async function cleanRegistry(
  { registry }: FleetMember,
  { before, keep }: { readonly before: Instant | undefined; readonly keep: number | undefined },
  progress: (deleted: number) => void,
  dryRun?: (job: CleanedJob) => void,
): Promise<number> {
  // A larger number does not reach the registry as a whole one.
  const end = Math.min(before ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const isDry = dryRun !== undefined;
  let deleted = 0;
  let after: CleanCursor | null = null;
  do {
    const batch: Awaited<ReturnType<Registry["clean"]>> = await registry.clean(
      end,
      keep ?? 0,
      BATCH,
      after,
      isDry,
    );
    for (const job of batch.jobs ?? []) dryRun?.(job);
    const found = isDry ? (batch.jobs?.length ?? 0) : batch.deleted;
    deleted += found;
    after = batch.next;
    if (found > 0 && !isDry) progress(deleted);
  } while (after !== null);
  return deleted;
}
