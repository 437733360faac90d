/** Puts a worker's job back into the store after somebody restored an older backup: the worker is right about its own job. */
import type { Instant, Job, Outcome, ProcessIdentity } from "../job/job.ts";
import { EVENTS, isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "../state/context.ts";

/** Records the end of a job whose worker is gone: see settle in jobs/reconcile.ts. */
export type Settle = (context: Context, store: JobStore, job: Job) => Promise<unknown>;

/**
 * Returns the job as the store has it, and puts it back if the store does not know it. `known`: the job as its worker knows
 * it, RUNNING. Returns `known` if the job cannot be put back yet, because another job of its key is active.
 */
export async function findOrAdopt(
  context: Context,
  store: JobStore,
  known: Job,
  settle: Settle,
): Promise<Job> {
  const found = await store.find(known.jobId);
  // The backup is older than the worker's claim.
  if (found?.status === "STARTING") return (await claimAgain(store, known)) ?? found;
  if (found !== undefined) return found;
  const adopted = await store.adopt(known);
  if (adopted !== undefined) return adopted;
  // A job that was active when the backup was made has usually ended since.
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

/**
 * Records the end of a job if `finish` was refused because the store does not know the job, or its claim. A final status that
 * another process has recorded stands.
 */
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
  { jobId, worker, origin, unit, target, startedAt }: Job,
): Promise<Job | undefined> {
  if (worker === null || origin === null) return undefined;
  await store.run(jobId, worker, { origin, unit }, now(), startedAt);
  if (target !== null) await store.recordTarget(jobId, target, now());
  return store.find(jobId);
}
