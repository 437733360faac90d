/** The first step of a start: decides whether the run key is free, or an existing job is the answer. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { answerFor } from "../job/policy.ts";
import { commandLine, optionWords } from "../job/shell-word.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import type { Keys, Override } from "../store/keys.ts";
import type { JobStore } from "../store/store.ts";
import { findLastAttempt } from "./attempts.ts";
import { findOrphans, hasOrphans } from "./orphan-finder.ts";
import { reconcile } from "./reconcile.ts";
import { refuseOwnKey } from "./self-call.ts";
import { isSameCommand, type StartRequest } from "./start-request.ts";

/** A key that is free for a new job. */
export interface FreeKey {
  readonly existing?: undefined;
  /** The newest job of the key, reconciled; undefined if there is none. */
  readonly latest: Job | undefined;
  /** Whether the key is strict, or becomes strict with this start. */
  readonly strict: boolean;
  /** The permission from `unlock` that the job uses up; undefined: it uses none. */
  readonly override: Override | undefined;
}

/** The store of the state directory, and the part that decides who may run a key: the same, or, in a fleet, the registry. */
export interface Stores {
  readonly store: JobStore;
  readonly keys: Keys;
}

/** The job to return instead of a new one. */
export interface ExistingJob {
  readonly existing: Job;
}

/** Throws `conflict` if a new job is not allowed, and no existing one is the answer. */
export async function resolve(
  context: Context,
  stores: Stores,
  request: StartRequest,
): Promise<FreeKey | ExistingJob> {
  const known = await findKnown(context, stores, request);
  if (known !== undefined) {
    refuseOwnKey(known);
    return { existing: known };
  }
  const key = await resolveLatest(context, stores, request);
  const { latest, strict, override } = key;
  debug?.note(
    `run key ${JSON.stringify(request.runKey)} has ${latest === undefined ? "no job yet" : `job ${latest.jobId}, which is ${latest.status}`}`,
  );
  if (latest === undefined) return key;
  const isAnswer =
    isActive(latest.status) || answerFor(latest.status, { ...request.policy, strict }) === "return";
  if (isAnswer && override === undefined) {
    refuseOwnKey(latest);
    if (request.rerunOfJobId !== null)
      throw isActive(latest.status) ? alreadyActive(latest) : alreadyRun(latest);
    // Record it: the same id must return this job also after it is finished.
    if (request.requestId === null) return { existing: latest };
    await stores.keys.bindRequest(request.runKey, request.requestId, latest.jobId, request.command);
    // Another call with the id may have been faster.
    return { existing: (await findKnown(context, stores, request)) ?? latest };
  }
  await refuseOrphans(context, stores.store, latest);
  return key;
}

/** The job of the caller's request id, in any status. Throws `conflict` if its command is another. */
async function findKnown(
  context: Context,
  { store, keys }: Stores,
  request: StartRequest,
): Promise<Job | undefined> {
  if (request.requestId === null) return undefined;
  const known = await keys.findRequest(request.runKey, request.requestId);
  if (known === undefined) return undefined;
  const { job } = known;
  // A job that was returned for the id may have another command than the one first asked for: command_matches says so.
  const first = known.command ?? (job.requestId === request.requestId ? job.command : undefined);
  if (first !== undefined && !isSameCommand({ command: first }, request)) {
    throw new OrchesjobError(
      "conflict",
      `the request id ${JSON.stringify(request.requestId)} of run key ${JSON.stringify(request.runKey)} belongs to job ${job.jobId}, which ${known.command === null ? "has another command" : "it was given for with another command"}`,
      "use a new --request-id for a new command",
    );
  }
  // It may have failed since the id was recorded for it: the id names the run.
  return reconcile(context, store, await findLastAttempt(context, store, job));
}

/** The newest job of the key, and whether the key is strict. Throws `conflict`. */
async function resolveLatest(context: Context, stores: Stores, request: StartRequest): Promise<FreeKey> {
  const { runKey, policy } = request;
  const { store, keys } = stores;
  const found = await keys.latest(runKey);
  const latest = found && (await reconcile(context, store, found, true));
  // For a rerun, the key is strict if it was started as strict.
  const isAsked = policy.strict || request.rerunOfJobId !== null;
  if (!isAsked || (latest !== undefined && isActive(latest.status)))
    return { latest, strict: policy.strict, override: undefined };
  const { strictJobId, override } = await keys.strictness(runKey, now());
  if (!policy.strict && strictJobId === undefined) return { latest, strict: false, override: undefined };
  if (latest === undefined && strictJobId !== undefined && override === undefined) {
    // Its job may have been accepted between the two reads.
    if ((await keys.latest(runKey)) !== undefined) return resolveLatest(context, stores, request);
    throw new OrchesjobError(
      "conflict",
      `the strict run key ${JSON.stringify(runKey)} has already run, as job ${strictJobId}, which clean has deleted`,
      unlockLine(runKey),
    );
  }
  return {
    latest,
    strict: true,
    override: latest !== undefined || strictJobId !== undefined ? override : undefined,
  };
}

function alreadyActive(job: Job): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `cannot rerun ${JSON.stringify(job.runKey)}: job ${job.jobId} is ${job.status}`,
    `wait for it: orchesjob wait --job-id ${job.jobId}`,
  );
}

function alreadyRun({ runKey, jobId }: Job): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `cannot rerun ${JSON.stringify(runKey)}: it is a strict run key, and job ${jobId} was its one run`,
    unlockLine(runKey),
  );
}

function unlockLine(runKey: string): string {
  return `to run it once more: ${commandLine(["unlock", ...optionWords("--run-key", runKey)])}`;
}

/** Throws `conflict` if processes of the key's last job still live: docs/guarantees.md, section 6. */
async function refuseOrphans(context: Context, store: JobStore, job: Job): Promise<void> {
  if (job.elsewhere?.holdsKey === true) throw (await import("./elsewhere.ts")).heldElsewhere(job);
  const orphans = await findOrphans(context, store, job);
  if (!hasOrphans(orphans)) return;
  const { describeSurvivors } = await import("./survivors.ts");
  const { end, who, hint } = describeSurvivors(context, job, orphans);
  throw new OrchesjobError(
    "conflict",
    `cannot start ${JSON.stringify(job.runKey)}: ${end}, but ${who}`,
    hint,
  );
}
