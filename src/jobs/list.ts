/** Lists the jobs of all run keys. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import type { JobStore, ListFilter } from "../store/store.ts";
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
  const store = await openReconciled(context);
  if (store === undefined) return async () => nothing(context);
  return async (filter) => settle(context, store, filter, await store.list(filter));
}

const PAGE_JOBS = 500;

/** As listJobs, in pages, so that any number of jobs fits in memory. */
export async function* listPages(context: Context, filter: ListFilter): AsyncGenerator<readonly Job[]> {
  const store = await openReconciled(context);
  if (store === undefined) return void nothing(context);
  for await (const jobs of store.pages(filter, PAGE_JOBS)) yield settle(context, store, filter, jobs);
}

/** Undefined if there is no state directory. */
async function openReconciled(context: Context): Promise<JobStore | undefined> {
  const store = context.openStore();
  if (store === undefined) return undefined;
  await restoreUnknownJobs(context, store);
  // Reconcile active jobs first, so that `--status LOST` also finds losses that no command has recorded yet.
  await reconcileAll(context, store, await store.active());
  return store;
}

/** The jobs as they really are, without those whose status is not wanted any more. */
async function settle(
  context: Context,
  store: JobStore,
  { statuses }: ListFilter,
  jobs: readonly Job[],
): Promise<readonly Job[]> {
  const settled = await reconcileAll(context, store, jobs);
  return statuses.length === 0 ? settled : settled.filter((job) => statuses.includes(job.status));
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
