/** Finds several jobs: those that are named one by one, or the newest ones of all run keys that a filter lets through. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import type { JobSelector } from "../job/request.ts";
import type { Context } from "../state/context.ts";
import type { JobFilter, JobStore } from "../store/store.ts";
import { findIn, findJob } from "./find.ts";
import { listJobs } from "./list.ts";

/** Jobs that are named one by one, and a filter of those that are the newest of their run key; undefined: none by filter. */
export interface SeveralJobs {
  readonly named: readonly JobSelector[];
  readonly filter: JobFilter | undefined;
}

/**
 * The named jobs in their order, each once, then those of the filter, oldest first; reconciled. Throws `not-found` if one of the
 * named is not there. The store is undefined if there is none, and so no job.
 */
export async function findSeveral(
  context: Context,
  { named, filter }: SeveralJobs,
): Promise<{ store: JobStore | undefined; jobs: readonly Job[] }> {
  const store = context.openStore();
  const found = new Map<string, Job>();
  for (const selector of named) {
    // Without a store, it says what is not there.
    const { job } =
      store === undefined
        ? await findJob(context, selector)
        : { job: await findIn(context, store, selector) };
    found.set(job.jobId, job);
  }
  if (filter !== undefined) {
    const everything = { runKeyPrefix: "", since: undefined, until: undefined, newestOnly: true };
    const limit = Number.MAX_SAFE_INTEGER;
    const jobs = await listJobs(context, { ...everything, ...filter, limit });
    for (const job of jobs.toReversed()) found.set(job.jobId, job);
  }
  return { store, jobs: [...found.values()] };
}

/** Leaves out what is there already: two attempts of one run may stand for the same job. */
export function eachOnce(jobs: readonly Job[]): readonly Job[] {
  return [...new Map(jobs.map((job) => [job.jobId, job])).values()];
}

/** The error for a filter that lets no job through. */
export function noneFound(context: Context, filter: JobFilter): OrchesjobError {
  return new OrchesjobError(
    "not-found",
    `no job with ${describeFilter(filter)} in ${context.home.path}`,
    "was it started with the same ORCHESJOB_HOME? Only the newest job of each run key counts",
  );
}

/** For messages: `label "batch=n1"`. */
export function describeFilter({ labels, statuses }: JobFilter): string {
  const parts = [...labels].map(([name, value]) => `label ${JSON.stringify(`${name}=${value}`)}`);
  if (statuses.length > 0) parts.push(`status ${statuses.join(" or ")}`);
  return parts.join(" and ");
}
