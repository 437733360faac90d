/** Jobs of many run keys at once. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import type { ListFilter } from "../store/store.ts";
import type { Context } from "./context.ts";
import { reconcile } from "./reconcile.ts";

/** Newest first. A job that turns out to be lost while it is looked at is still in the list, as LOST. */
export async function listJobs(context: Context, filter: ListFilter): Promise<readonly Job[]> {
  const store = context.openStore();
  if (store === undefined) return [];
  return Promise.all((await store.list(filter)).map((job) => reconcile(context, store, job)));
}

/** All active jobs, oldest first. */
export async function listActive(context: Context): Promise<readonly Job[]> {
  const store = context.openStore();
  if (store === undefined) return [];
  const jobs = await Promise.all((await store.active()).map((job) => reconcile(context, store, job)));
  return jobs.filter((job) => isActive(job.status));
}
