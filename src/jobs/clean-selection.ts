/** Which jobs `clean` may delete: those of run keys, or with certain ids, labels, statuses or times. */
import type { Instant, Job } from "../job/job.ts";
import { type JobSelector, meaningsOf } from "../job/request.ts";
import { isActive } from "../job/status.ts";
import type { Context } from "../state/context.ts";
import type { FinishedFilter, JobFilter, JobStore } from "../store/store.ts";
import { findHere, nameOf } from "./find.ts";
import { reconcile, reconcileAll } from "./reconcile.ts";

export interface CleanSelection extends JobFilter {
  /** A run key stands for all of its jobs. Empty: any. */
  readonly named: readonly JobSelector[];
  /** Only these of them. Empty: any. */
  readonly jobIds: readonly string[];
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
  { named, jobIds, since, statuses, labels }: CleanSelection,
): Promise<FinishedFilter | undefined> {
  const isNamed = named.length + jobIds.length > 0;
  const isFiltered = statuses.length > 0 || labels.size > 0;
  if (!isNamed && since === undefined && !isFiltered) return undefined;
  // So that `--status lost` also finds losses that no command has recorded yet.
  if (!isNamed) await reconcileAll(context, store, await store.active());
  const oneOf = isNamed ? await findBoth(context, store, named, jobIds) : undefined;
  return { since, statuses, labels, oneOf };
}

async function findBoth(
  context: Context,
  store: JobStore,
  named: readonly JobSelector[],
  jobIds: readonly string[],
): Promise<NonNullable<FinishedFilter["oneOf"]>> {
  const byName = await findNamed(context, store, named);
  const byId = await findNamed(
    context,
    store,
    jobIds.map((jobId) => ({ jobId })),
  );
  const idsOf = (jobs: readonly Job[]) => jobs.map(({ jobId }) => jobId);
  if (named.length === 0 || jobIds.length === 0)
    return { jobIds: idsOf([...byName.jobs, ...byId.jobs]), runKeys: byName.runKeys };
  const isMeant = ({ jobId, runKey }: Job) =>
    byName.runKeys.includes(runKey) || byName.jobs.some((job) => job.jobId === jobId);
  for (const { jobId, runKey } of byId.jobs.filter((job) => !isMeant(job)))
    context.notify(
      `job ${jobId} is kept: it is of run key ${JSON.stringify(runKey)}, which is none of those given`,
    );
  return { jobIds: idsOf(byId.jobs.filter(isMeant)), runKeys: [] };
}

interface Named {
  /** Those that are meant one by one. */
  readonly jobs: readonly Job[];
  readonly runKeys: readonly string[];
}

async function findNamed(context: Context, store: JobStore, named: readonly JobSelector[]): Promise<Named> {
  const jobs: Job[] = [];
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
        jobs.push(job);
        if (isActive(job.status))
          context.notify(
            `job ${job.jobId} is kept: it is ${job.status}, and clean deletes finished jobs only`,
          );
      }
      break;
    }
    if (!isFound) context.notify(`nothing to delete: no ${nameOf(selector)} in ${context.home.path}`);
  }
  return { jobs, runKeys };
}
