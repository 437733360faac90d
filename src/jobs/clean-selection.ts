/** Which jobs `clean` may delete: those of run keys, or with certain ids, labels, statuses or times. */
import type { Instant } from "../job/job.ts";
import { type JobSelector, meaningsOf } from "../job/request.ts";
import { isActive } from "../job/status.ts";
import type { Context } from "../state/context.ts";
import type { FinishedFilter, JobFilter, JobStore } from "../store/store.ts";
import { findHere, nameOf } from "./find.ts";
import { reconcile, reconcileAll } from "./reconcile.ts";

export interface CleanSelection extends JobFilter {
  /** A run key stands for all of its jobs. Empty: any. */
  readonly named: readonly JobSelector[];
  /** Ended at this time or later. */
  readonly since: Instant | undefined;
}

/**
 * Records losses among the selected jobs, and returns them as the store finds them; undefined if any may be deleted. What it does
 * not find, or is active, it only says: a clean that is repeated must not fail. Throws `usage` for an ambiguous id.
 */
export async function findSelected(
  context: Context,
  store: JobStore,
  { named, since, statuses, labels }: CleanSelection,
): Promise<FinishedFilter | undefined> {
  const isFiltered = statuses.length > 0 || labels.size > 0;
  if (named.length === 0 && since === undefined && !isFiltered) return undefined;
  // So that `--status lost` also finds losses that no command has recorded yet.
  if (named.length === 0) await reconcileAll(context, store, await store.active());
  const oneOf = named.length === 0 ? undefined : await findNamed(context, store, named);
  return { since, statuses, labels, oneOf };
}

async function findNamed(
  context: Context,
  store: JobStore,
  named: readonly JobSelector[],
): Promise<NonNullable<FinishedFilter["oneOf"]>> {
  const jobIds: string[] = [];
  const runKeys: string[] = [];
  for (const selector of named) {
    let isFound = false;
    for (const meaning of "word" in selector ? meaningsOf(selector.word) : [selector]) {
      const found = await findHere(store, meaning);
      if (found === undefined) continue;
      isFound = true;
      const job = await reconcile(context, store, found);
      if ("runKey" in meaning && meaning.attemptNo === undefined) runKeys.push(meaning.runKey);
      else {
        jobIds.push(job.jobId);
        if (isActive(job.status))
          context.notify(
            `job ${job.jobId} is kept: it is ${job.status}, and clean deletes finished jobs only`,
          );
      }
      break;
    }
    if (!isFound) context.notify(`nothing to delete: no ${nameOf(selector)} in ${context.home.path}`);
  }
  return { jobIds, runKeys };
}
