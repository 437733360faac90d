/** Lists the jobs of all run keys. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import type { ListFilter } from "../store/store.ts";
import type { Context } from "../state/context.ts";
import { reportMissingDatabase } from "./missing-database.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { reconcileAll } from "./reconcile.ts";

/** Lists the jobs that a filter lets through, newest first. */
export type JobList = (filter: ListFilter) => Promise<readonly Job[]>;

export async function listJobs(context: Context, filter: ListFilter): Promise<readonly Job[]> {
  return (await openList(context))(filter);
}

/** Prepares the state directory once for several lists of its jobs. */
export async function openList(context: Context): Promise<JobList> {
  const store = context.openStore();
  if (store === undefined) return async () => nothing(context);
  await restoreUnknownJobs(context, store);
  // Reconcile active jobs first, so that `--status LOST` also finds losses that no command has recorded yet.
  await reconcileAll(context, store, await store.active());
  return async (filter) => {
    const jobs = await reconcileAll(context, store, await store.list(filter));
    if (filter.statuses.length === 0) return jobs;
    return jobs.filter((job) => filter.statuses.includes(job.status));
  };
}

/** All active jobs, oldest first. */
export async function listActive(context: Context): Promise<readonly Job[]> {
  const store = context.openStore();
  if (store === undefined) return nothing(context);
  await restoreUnknownJobs(context, store);
  return (await reconcileAll(context, store, await store.active())).filter((job) => isActive(job.status));
}

function nothing(context: Context): readonly Job[] {
  reportMissingDatabase(context);
  return [];
}
