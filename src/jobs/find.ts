/** Finds jobs by id, by a unique prefix of it, or as the newest of a run key, and reconciles what it finds. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { isJobId, type JobSelector } from "../job/request.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "../state/context.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { reconcile, reconcileAll } from "./reconcile.ts";

/** Throws `not-found`, and `usage` for an ambiguous id. */
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
  // An active job is the answer, because a key has only one; so is a job found by id. Otherwise the store may lack a newer one.
  const isAnswer = found !== undefined && (isActive(found.status) || "jobId" in selector);
  const here = isAnswer || (await restoreUnknownJobs(context, store)) === 0 ? found : await look();
  const fleet = isAnswer ? undefined : context.openFleet();
  const job =
    fleet === undefined
      ? here
      : await (await import("./elsewhere.ts")).findElsewhere(context, await fleet, selector, { here, store });
  if (job === undefined) throw notFound(context, selector);
  return { store, job };
}

async function select(store: JobStore, selector: JobSelector): Promise<Job | undefined> {
  if ("runKey" in selector) return store.latest(selector.runKey);
  if (!isJobId(selector.jobId)) return undefined;
  return (await store.find(selector.jobId)) ?? findByBeginning(store, selector.jobId);
}

/** Length of a whole id, which is not looked up as a prefix again. */
const ID_LENGTH = 36;

/** A shorter prefix is taken for a typing error. Ids begin with the time, so the first characters of recent jobs are the same. */
const SHORTEST_BEGINNING = 4;

/** How many candidates the error for an ambiguous prefix lists. */
const SHOWN = 5;

/** The only job whose id begins like this; undefined if there is none. Throws `usage` if there are several. */
async function findByBeginning(store: JobStore, beginning: string): Promise<Job | undefined> {
  if (beginning.length >= ID_LENGTH || beginning.length < SHORTEST_BEGINNING) return undefined;
  const jobs = await store.jobsById(beginning, SHOWN + 1);
  if (jobs.length < 2) return jobs[0];
  const shown = jobs.slice(0, SHOWN).map((job) => `${job.jobId} (${JSON.stringify(job.runKey)})`);
  throw new OrchesjobError(
    "usage",
    `several job ids begin with ${JSON.stringify(beginning)}: ${shown.join(", ")}${jobs.length > SHOWN ? ", …" : ""}`,
    "give more characters of the one that you mean",
  );
}

/** All jobs of a run key, newest first. Throws `not-found` if there is none. */
export async function findHistory(context: Context, runKey: string): Promise<readonly Job[]> {
  const store = context.openStore();
  if (store !== undefined) await restoreUnknownJobs(context, store);
  const fleet = await context.openFleet();
  const here = store === undefined ? [] : await store.history(runKey);
  const jobs =
    fleet === undefined
      ? here
      : (await import("./elsewhere.ts")).merge(fleet, here, await fleet.history(runKey));
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
    "was it started with the same ORCHESJOB_HOME?",
  );
}
