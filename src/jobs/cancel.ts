/** `cancel`: ends jobs and all their processes. All workers are asked first, so that their grace periods pass at the same time. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import type { JobSelector } from "../job/request.ts";
import { isActive } from "../job/status.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";
import {
  type CancelOrder,
  type CancelResult,
  concludeCancel,
  type EndRequest,
  findActiveAttempt,
  requestEnd,
} from "./cancel-steps.ts";
import { NO_ORPHANS } from "./orphan-finder.ts";
import { reread } from "./reconcile.ts";
import { eachOnce } from "./find-several.ts";
import { findJob } from "./find.ts";
import { waitForJobs } from "./wait-several.ts";

export interface CancelOutcome extends CancelResult {
  /** Why the job was not cancelled; undefined: it was, or its survivors say why not. */
  readonly error: OrchesjobError | undefined;
}

/** Cancels one job. Throws `not-found`, and `conflict` if the job is not active and has no process left. */
export async function cancelJob(
  context: Context,
  selector: JobSelector,
  order: CancelOrder,
): Promise<CancelResult> {
  const { store, job } = await findJob(context, selector);
  const [outcome] = await cancelJobs(context, store, [job], order);
  if (outcome!.error !== undefined) throw outcome!.error;
  return outcome!;
}

/** What a cancel of these jobs would end: whoever cancels a failed attempt means the one that follows it. */
export async function findMeant(
  context: Context,
  store: JobStore,
  named: readonly Job[],
): Promise<readonly Job[]> {
  return eachOnce(await Promise.all(named.map((job) => findActiveAttempt(context, store, job))));
}

/** Cancels each of the jobs; what becomes of one does not keep the others from it. Their order stays. */
export async function cancelJobs(
  context: Context,
  store: JobStore,
  named: readonly Job[],
  order: CancelOrder,
): Promise<readonly CancelOutcome[]> {
  const jobs = await findMeant(context, store, named);
  const asked = new Map<Job, EndRequest>();
  const failed = new Map<Job, OrchesjobError>();
  for (const job of jobs) {
    if (job.elsewhere !== undefined || !isActive(job.status)) continue;
    try {
      asked.set(job, await requestEnd(context, store, job, order));
    } catch (error) {
      failed.set(job, expected(error));
    }
  }
  const outcomes = new Map<Job, CancelOutcome>();
  const concludeEach = async (some: readonly Job[]) => {
    const each = async (job: Job): Promise<CancelOutcome> => {
      try {
        const error = failed.get(job);
        if (error !== undefined) throw error;
        return { ...(await conclude(context, store, job, order, asked.get(job))), error: undefined };
      } catch (error) {
        const last = job.elsewhere === undefined ? await reread(context, store, job) : job;
        return { job: last, survivors: NO_ORPHANS, error: expected(error) };
      }
    };
    const concluded = await Promise.all(some.map(each));
    for (const [index, job] of some.entries()) outcomes.set(job, concluded[index]!);
  };
  const isReached = (job: Job) => asked.get(job)?.isReached === true;
  // The processes that no worker ends, while the workers do their work.
  await concludeEach(jobs.filter((job) => !isReached(job)));
  const reached = jobs.filter(isReached);
  const requests = reached.map((job) => asked.get(job)!);
  const timeoutMs = Math.max(0, ...requests.map((request) => request.timeoutMs));
  const requested = requests.map(({ job }) => job);
  const seen = await waitForJobs(context, store, requested, "all", timeoutMs);
  for (const [index, job] of reached.entries()) asked.set(job, { ...requests[index]!, job: seen[index]! });
  await concludeEach(reached);
  return jobs.map((job) => outcomes.get(job)!);
}

async function conclude(
  context: Context,
  store: JobStore,
  job: Job,
  order: CancelOrder,
  request: EndRequest | undefined,
): Promise<CancelResult> {
  if (job.elsewhere === undefined) return concludeCancel(context, store, job, order, request);
  const { cancelElsewhere } = await import("./elsewhere.ts");
  return { job: await cancelElsewhere(context, job, order), survivors: NO_ORPHANS };
}

function expected(error: unknown): OrchesjobError {
  if (error instanceof OrchesjobError) return error;
  throw error;
}
