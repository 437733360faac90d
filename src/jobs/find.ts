/** Looking a job up, by its id, or a beginning of it, or as the newest of its run key. What is found is reconciled first. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { isJobId } from "../job/request.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "../state/context.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { reconcile, reconcileAll } from "./reconcile.ts";

export type JobSelector = { readonly jobId: string } | { readonly runKey: string };

/** Throws `not-found`. */
export async function findJob(
  context: Context,
  selector: JobSelector,
): Promise<{ store: JobStore; job: Job }> {
  const store = context.openStore();
  if (store === undefined) throw notFound(context, selector);
  const look = async () => {
    const job = await select(store, selector);
    return job && reconcile(context, store, job);
  };
  const found = await look();
  // The key's active job is the only one that can run, and who asks for an id means that job.
  const isAnswer = found !== undefined && (isActive(found.status) || "jobId" in selector);
  const job = isAnswer || (await restoreUnknownJobs(context, store)) === 0 ? found : await look();
  if (job === undefined) throw notFound(context, selector);
  return { store, job };
}

async function select(store: JobStore, selector: JobSelector): Promise<Job | undefined> {
  if ("runKey" in selector) return store.latest(selector.runKey);
  if (!isJobId(selector.jobId)) return undefined;
  return (await store.find(selector.jobId)) ?? findByBeginning(store, selector.jobId);
}

/** All ids of ours are as long, and nothing is asked a second time for one. */
const ID_LENGTH = 36;

/** Less of an id is a slip. What `list` shows begins with the time, so neighbours have their first characters in common. */
const SHORTEST_BEGINNING = 4;

/** Of those that an ambiguous beginning may mean. */
const SHOWN = 5;

/** The only job whose id begins so; undefined where there is none. Throws `usage` where there are several. */
async function findByBeginning(store: JobStore, beginning: string): Promise<Job | undefined> {
  if (beginning.length >= ID_LENGTH || beginning.length < SHORTEST_BEGINNING) return undefined;
  const jobs = await store.jobsById(beginning, SHOWN + 1);
  if (jobs.length < 2) return jobs[0];
  const shown = jobs.slice(0, SHOWN).map((job) => `${job.jobId} (${JSON.stringify(job.runKey)})`);
  throw new OrchesjobError(
    "usage",
    `several job ids begin with ${JSON.stringify(beginning)}: ${shown.join(", ")}${jobs.length > SHOWN ? ", …" : ""}`,
    "give more of the one that is meant",
  );
}

/** All jobs of a run key, newest first. Throws `not-found` where there is none. */
export async function findHistory(context: Context, runKey: string): Promise<readonly Job[]> {
  const store = context.openStore();
  if (store !== undefined) await restoreUnknownJobs(context, store);
  const jobs = store === undefined ? [] : await store.history(runKey);
  if (store === undefined || jobs.length === 0) throw notFound(context, { runKey });
  return reconcileAll(context, store, jobs);
}

function notFound(context: Context, selector: JobSelector): OrchesjobError {
  const what =
    "runKey" in selector
      ? `job of run key ${JSON.stringify(selector.runKey)}`
      : `job ${JSON.stringify(selector.jobId)}`;
  return new OrchesjobError(
    "not-found",
    `no ${what} in ${context.home.path}`,
    "is ORCHESJOB_HOME the one that it was started with?",
  );
}
