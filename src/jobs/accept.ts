/** Accepts a job in four steps: resolve, prepare, claim, release. */
import type { Job } from "../job/job.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import type { Keys } from "../store/keys.ts";
import type { Placement } from "../systemd/placement.ts";
import { Input } from "./input.ts";
import { prepare, type PreparedJob } from "./prepare.ts";
import { restoreUnknownJobs } from "./restore-unknown-jobs.ts";
import { type FreeKey, resolve, type Stores } from "./resolve.ts";
import type { StartRequest } from "./start-request.ts";
import { findTruncations } from "./truncation-warning.ts";

/** The result of a start: an existing job, or a new one. */
export interface Acceptance {
  readonly existing: boolean;
  readonly job: Job;
  /** Whether the new job has used up the permission from `unlock`. */
  readonly overrideUsed: boolean;
  /** For people: what may end a new job early, or truncate its logs. */
  readonly warnings: readonly string[];
}

/**
 * Returns the job that the key has, or accepts a new one. `supervised`: the caller waits for its end. `onReady` is called before
 * a job is accepted, when all input is read: until then a signal must end this process. Throws OrchesjobError or SystemError.
 */
export async function acceptJob(
  context: Context,
  stores: Stores,
  request: StartRequest,
  supervised: boolean,
  onReady: () => void,
): Promise<Acceptance> {
  const { store, keys } = stores;
  let input: Input | undefined;
  if (request.stdin === null) onReady();
  await restoreUnknownJobs(context, store);
  for (;;) {
    const found = await resolve(context, stores, request);
    if (found.existing !== undefined) {
      debug?.about(found.existing.jobId);
      debug?.note(
        `gives back this job of run key ${JSON.stringify(request.runKey)}: it is ${found.existing.status}`,
      );
      input?.close();
      return { existing: true, job: found.existing, overrideUsed: false, warnings: [] };
    }
    if (request.stdin !== null && input === undefined) {
      // Only a new job needs input. Reading it may take long, so the key is resolved again afterwards.
      store.disconnect();
      input = await openInput(context, request.stdin, request.rerunOfJobId);
      onReady();
      continue;
    }
    const { envFiles } = request.limits;
    // The worker reads them; refuse now what it could not use.
    if (envFiles !== undefined) (await import("../state/env-files.ts")).readEnvFiles(envFiles);
    const prepared = await prepare(context, request, found, input, supervised);
    const accepted = await claim(keys, prepared, found);
    const { unit, warnings } = await release(prepared);
    if (accepted === undefined) {
      debug?.note("another start was faster: resolves again");
      continue;
    }
    input?.close();
    return {
      existing: false,
      job: { ...accepted, unit },
      overrideUsed: found.override !== undefined,
      // Checked only now, while the worker is already launching the command.
      warnings: [...warnings, ...findTruncations(request, accepted.cwd)],
    };
  }
}

/**
 * Inserts the job in one durable transaction. Returns undefined, and discards what was prepared, if the key has another newest
 * job by now. If it throws, the lock file stays, because a commit that reported an error may still have reached the disk.
 */
async function claim(
  keys: Keys,
  prepared: PreparedJob,
  { latest, strict, override }: FreeKey,
): Promise<Job | undefined> {
  const terms = { expected: latest?.jobId, strict, useOverride: override !== undefined };
  const accepted = await keys.claim(prepared.job, terms, now());
  if (accepted === undefined) prepared.discard();
  else
    debug?.note(
      `accepted the job: attempt ${accepted.attemptNo} of run key ${JSON.stringify(accepted.runKey)}`,
    );
  return accepted;
}

/** Lets the worker continue once it is in its scope, if it gets one: the command's first children would stay behind otherwise. */
async function release({ worker, placement }: PreparedJob): Promise<Placement> {
  const placed = await placement;
  worker.release();
  debug?.note("released the worker");
  return placed;
}

/** Opens the stdin of the command before anything is accepted. Throws OrchesjobError. */
async function openInput(context: Context, stdin: string, rerunOfJobId: string | null): Promise<Input> {
  const { Input } = await import("./input.ts");
  return Input.open(context, stdin, rerunOfJobId);
}
