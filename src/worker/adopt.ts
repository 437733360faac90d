/** What a worker does where an older state of the store has come back: its own job is true, whatever the store says of it. */
import type { Instant, Job, Outcome, ProcessIdentity } from "../job/job.ts";
import { EVENTS, isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "../state/context.ts";

/** Records the end of a job whose worker is gone: see settle in jobs/reconcile.ts. */
export type Settle = (context: Context, store: JobStore, job: Job) => Promise<unknown>;

/**
 * The job as the store has it; one that it does not know is put back. `known`: as its worker has it, RUNNING. Where it cannot
 * be put back yet, because another job of its key runs, it is returned as it is known.
 */
export async function findOrAdopt(
  context: Context,
  store: JobStore,
  known: Job,
  settle: Settle,
): Promise<Job> {
  const found = await store.find(known.jobId);
  // The backup was made before the claim.
  if (found?.status === "STARTING") return (await claimAgain(store, known)) ?? found;
  if (found !== undefined) return found;
  const adopted = await store.adopt(known);
  if (adopted !== undefined) return adopted;
  // What ran when the backup was made has most often ended since.
  for (const job of await store.history(known.runKey))
    if (isActive(job.status)) await settle(context, store, job);
  return (await store.adopt(known)) ?? known;
}

/** How a job ended, as its worker knows it. */
export interface Ended {
  readonly event: "succeed" | "fail" | "cancel";
  readonly outcome: Outcome;
  readonly target: ProcessIdentity | null;
  readonly endedAt: Instant;
  readonly leftBehind: readonly ProcessIdentity[] | null;
}

/** Records the end of a job where the store has refused it. Where somebody else has decided that stands. */
export async function finishUnknown(store: JobStore, known: Job, ended: Ended): Promise<void> {
  const { event, outcome, target, endedAt, leftBehind } = ended;
  const found = await store.find(known.jobId);
  if (found === undefined)
    await store.adopt({
      ...known,
      ...outcome,
      ...{ target, leftBehind, status: EVENTS[event].to, finishedAt: endedAt },
    });
  else if (found.status === "STARTING") {
    await claimAgain(store, known);
    await store.finish(known.jobId, event, outcome, target, endedAt, leftBehind);
  }
}

async function claimAgain(
  store: JobStore,
  { jobId, worker, origin, unit, target }: Job,
): Promise<Job | undefined> {
  if (worker === null || origin === null) return undefined;
  await store.run(jobId, worker, { origin, unit }, now());
  if (target !== null) await store.recordTarget(jobId, target, now());
  return store.find(jobId);
}
