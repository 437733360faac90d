/** Looking a job up, by its id or as the newest of its run key. What is found is reconciled first. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { isJobId } from "../job/request.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { recallForgotten } from "./recall.ts";
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
  const job = isAnswer || (await recallForgotten(context, store)) === 0 ? found : await look();
  if (job === undefined) throw notFound(context, selector);
  return { store, job };
}

async function select(store: JobStore, selector: JobSelector): Promise<Job | undefined> {
  if ("runKey" in selector) return store.latest(selector.runKey);
  return isJobId(selector.jobId) ? store.find(selector.jobId) : undefined;
}

/** All jobs of a run key, newest first. Throws `not-found` where there is none. */
export async function findHistory(context: Context, runKey: string): Promise<readonly Job[]> {
  const store = context.openStore();
  if (store !== undefined) await recallForgotten(context, store);
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
    `no ${what} in ${context.home.path}; is ORCHESJOB_HOME the one that it was started with?`,
  );
}
