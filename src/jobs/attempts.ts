/** The attempts of one run (`--retries`): which one follows which. */
import type { Job } from "../job/job.ts";
import type { Context } from "../state/context.ts";
import type { JobStore } from "../store/store.ts";

/** The attempt that follows a failed one; undefined if there is none, or `clean` has deleted it. */
export async function findNextAttempt(context: Context, store: JobStore, job: Job): Promise<Job | undefined> {
  const nextJobId = job.retry?.nextJobId ?? null;
  if (nextJobId === null) return undefined;
  // All attempts of a run are of the same member.
  if (job.elsewhere !== undefined) return (await import("./elsewhere.ts")).findNextElsewhere(context, job);
  return store.find(nextJobId);
}

/** The attempts of the run before this one, the first one first, as far back as `clean` has not deleted one. */
export async function findEarlierAttempts(store: JobStore, job: Job): Promise<readonly Job[]> {
  const earlier: Job[] = [];
  for (let id = job.retry?.ofJobId ?? null; id !== null;) {
    const found = await store.find(id);
    if (found === undefined) break;
    earlier.unshift(found);
    id = found.retry?.ofJobId ?? null;
  }
  return earlier;
}

/** The last attempt of the run that a job belongs to, as far as it is known: the job itself if none follows it. */
export async function findLastAttempt(context: Context, store: JobStore, job: Job): Promise<Job> {
  let last = job;
  for (
    let next: Job | undefined = last;
    next !== undefined;
    next = await findNextAttempt(context, store, next)
  )
    last = next;
  return last;
}
