/** How a job is accepted, in four steps: resolve, prepare, claim, release. */
import type { Job } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import type { JobStore } from "../store/store.ts";
import type { Placement } from "../systemd/placement.ts";
import { Input } from "./input.ts";
import { prepare, type PreparedJob } from "./prepare.ts";
import { recallUnknownJobs } from "./recall.ts";
import { type FreeKey, resolve } from "./resolve.ts";
import type { StartRequest } from "./start-request.ts";
import { findTruncations } from "./truncation-warning.ts";

/** What a start has come to: a job that was there, or a new one. */
export interface Acceptance {
  readonly existing: boolean;
  readonly job: Job;
  /** What the caller should know about the life of a new job, for people. */
  readonly warnings: readonly string[];
}

/**
 * Gives the job that the key has, or makes one. `supervised`: the caller waits for its end. `onReady`: called before a new job
 * is accepted, once nothing is to be read for it any more: until then a signal must end us.
 */
export async function acceptJob(
  context: Context,
  store: JobStore,
  request: StartRequest,
  supervised: boolean,
  onReady: () => void,
): Promise<Acceptance> {
  let input: Input | undefined;
  if (request.stdin === null) onReady();
  await recallUnknownJobs(context, store);
  for (;;) {
    const found = await resolve(context, store, request);
    if (found.existing !== undefined) {
      debug?.about(found.existing.jobId);
      debug?.note(
        `gives back this job of run key ${JSON.stringify(request.runKey)}: it is ${found.existing.status}`,
      );
      input?.close();
      return { existing: true, job: found.existing, warnings: [] };
    }
    if (request.stdin !== null && input === undefined) {
      // Only a new job needs it, and it may take its time. Then much may have happened to the key.
      store.disconnect();
      input = await openInput(context, request.stdin, request.rerunOfJobId);
      onReady();
      continue;
    }
    const prepared = await prepare(context, request, found.latest, input, supervised);
    const accepted = await claim(store, prepared, found);
    const { unit, warnings } = await release(prepared);
    // Otherwise somebody else was faster: look again.
    if (accepted === undefined) {
      debug?.note("another start was faster: looks again");
      continue;
    }
    input?.close();
    return {
      existing: false,
      job: { ...accepted, unit },
      // The worker has its own work meanwhile.
      warnings: [...warnings, ...findTruncations(request, accepted.cwd)],
    };
  }
}

/**
 * One durable transaction makes the job, unless the key's newest is another one by now: then nothing of ours stays. If it
 * throws, the lock file stays: a commit that reported an error may yet be found on the disk.
 */
async function claim(
  store: JobStore,
  prepared: PreparedJob,
  { latest, strict, useOverride }: FreeKey,
): Promise<Job | undefined> {
  const accepted = await store.claim(prepared.job, { expected: latest?.jobId, strict, useOverride }, now());
  if (accepted === undefined) prepared.discard();
  else
    debug?.note(
      `accepted the job: attempt ${accepted.attemptNo} of run key ${JSON.stringify(accepted.runKey)}`,
    );
  return accepted;
}

/** Lets the worker go on once it is where it is to run: the command's first children would be left behind otherwise. */
async function release({ worker, placement }: PreparedJob): Promise<Placement> {
  const placed = await placement;
  worker.release();
  debug?.note("released the worker");
  return placed;
}

/** What the command is to read, opened before anything is accepted. Throws OrchesjobError. */
async function openInput(context: Context, stdin: string, rerunOfJobId: string | null): Promise<Input> {
  const { Input } = await import("./input.ts");
  return Input.open(context, stdin, rerunOfJobId);
}
