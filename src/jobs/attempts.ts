/** The attempts of one run (`--retries`): which one follows which. */
import type { Job } from "../job/job.ts";
import type { JobStore } from "../store/store.ts";

/** The attempt that follows a failed one; undefined if there is none, or `clean` has deleted it. */
export async function findNextAttempt(store: JobStore, job: Job): Promise<Job | undefined> {
  const nextJobId = job.retry?.nextJobId ?? null;
  return nextJobId === null ? undefined : store.find(nextJobId);
}

/** The last attempt of the run that a job belongs to, as far as it is known: the job itself if none follows it. */
export async function findLastAttempt(store: JobStore, job: Job): Promise<Job> {
  let last = job;
  for (let next: Job | undefined = last; next !== undefined; next = await findNextAttempt(store, next))
    last = next;
  return last;
}
