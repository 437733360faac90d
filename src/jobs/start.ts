/** `start`: one job per run key. Accepts durably, hands over to a detached worker, and answers when the command runs. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job, NewJob } from "../job/job.ts";
import { answerFor, type StartPolicy } from "../job/policy.ts";
import { commandLine, optionWords } from "../job/shell-word.ts";
import { isActive } from "../job/status.ts";
import { now } from "../linux/clock.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import { isInputOffered } from "../linux/offered-input.ts";
import { isContainersCommand } from "../linux/self.ts";
import type { Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { createLock } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { beginMoveIntoScope } from "../systemd/placement.ts";
import { type PreparedWorker, spawnWorker } from "../worker/spawn.ts";
import type { Input } from "./input.ts";
import { recallUnknownJobs } from "./recall.ts";
import { findOrphans, hasOrphans, reconcile } from "./reconcile.ts";
import { refuseOwnKey } from "./self-call.ts";
import { findHookTruncation, findTruncation } from "./truncation-warning.ts";
import { waitForJob } from "./wait.ts";

export interface StartRequest extends Omit<
  NewJob,
  "jobId" | "attemptNo" | "cwd" | "origin" | "worker" | "token"
> {
  readonly policy: StartPolicy;
  /** Absolute; undefined: the directory that the caller is in. */
  readonly directory: string | undefined;
}

/** How long to wait before the answer. */
export type WaitMode =
  /** Until the command runs, or `timeoutMs` is over. */
  | { readonly until: "launched"; readonly timeoutMs: number }
  | { readonly until: "finished"; readonly interruption: Interruption };

export interface StartResult {
  readonly existing: boolean;
  /** False where an existing job is given back whose command is not the one asked for. */
  readonly commandMatches: boolean;
  readonly job: Job;
  /** What the caller should know about the life of a new job, for people. */
  readonly warnings: readonly string[];
}

export async function startJob(
  context: Context,
  request: StartRequest,
  patience: WaitMode,
): Promise<StartResult> {
  const isContainers = isContainersCommand();
  const store = context.createStore();
  const isSupervised = patience.until === "finished";
  const listen = () => isSupervised && patience.interruption.listen();
  const { existing, job, warnings } = await acceptJob(context, store, request, isSupervised, listen);
  listen();
  tellOfUnreadInput(context, request);
  return {
    existing,
    commandMatches: isSameCommand(job, request),
    job: await awaitJob(context, store, job, patience, isContainers && !existing),
    warnings:
      isContainers && !existing && patience.until === "launched" ? [...warnings, ENDS_WITH_US] : warnings,
  };
}

const ENDS_WITH_US =
  "this container ends with its first command, and the job with the container; let orchesjob run be that command";

/** Waits as long as the caller wants to. `endsWithUs`: the job does, because its container does. */
async function awaitJob(
  context: Context,
  store: JobStore,
  job: Job,
  patience: WaitMode,
  endsWithUs: boolean,
): Promise<Job> {
  if (patience.until === "finished") {
    const { interruption } = patience;
    for (;;) {
      const seen = await waitForJob(context, store, job, isFinished, Number.POSITIVE_INFINITY, interruption);
      if (!endsWithUs) return seen;
      const { outlastWorker, passOnInContainer } = await import("./outlast-worker.ts");
      const { signal } = interruption;
      if (signal === undefined || isFinished(seen)) {
        await outlastWorker(context, seen, true, () => interruption.signal !== undefined);
        return seen;
      }
      // A stop of the container is meant for the job: as of run.
      interruption.forget();
      passOnInContainer(context, seen, true, signal);
    }
  }
  if (patience.timeoutMs === 0) return job;
  return waitForJob(context, store, job, isLaunched, patience.timeoutMs);
}

export function isFinished(job: Job): boolean {
  return !isActive(job.status);
}

/** The command runs, or it never will. */
export function isLaunched(job: Job): boolean {
  return isFinished(job) || job.target !== null;
}

export function isSameCommand(job: Job, request: StartRequest): boolean {
  return JSON.stringify(job.command) === JSON.stringify(request.command);
}

/** What the command is to read, opened before anything is accepted. Throws OrchesjobError. */
async function openInput(context: Context, stdin: string, rerunOfJobId: string | null): Promise<Input> {
  const { Input } = await import("./input.ts");
  return Input.open(context, stdin, rerunOfJobId);
}

/** Says that the command does not get what is on our stdin; returns whether it did. */
export function tellOfUnreadInput(context: Context, { stdin, rerunOfJobId }: StartRequest): boolean {
  if (stdin !== null || rerunOfJobId !== null || !isInputOffered()) return false;
  context.notify("what is on stdin does not reach the command; to pass it on: --stdin -");
  return true;
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
): Promise<Pick<StartResult, "existing" | "job" | "warnings">> {
  const cwd = request.directory ?? process.cwd();
  let input: Input | undefined;
  if (request.stdin === null) onReady();
  await recallUnknownJobs(context, store);
  for (;;) {
    const known = await findKnown(context, store, request);
    if (known !== undefined) {
      input?.close();
      refuseOwnKey(known);
      return { existing: true, job: known, warnings: [] };
    }
    const { latest, strict, useOverride } = await resolveLatest(context, store, request);
    if (
      latest !== undefined &&
      !useOverride &&
      (isActive(latest.status) || answerFor(latest.status, { ...request.policy, strict }) === "return")
    ) {
      input?.close();
      refuseOwnKey(latest);
      if (request.rerunOfJobId !== null)
        throw isActive(latest.status) ? alreadyActive(latest) : alreadyRun(latest);
      // The token must go on to mean this job when it is finished: the caller has been told so.
      if (request.requestId !== null)
        await store.bindRequest(request.runKey, request.requestId, latest.jobId);
      return { existing: true, job: latest, warnings: [] };
    }
    if (latest !== undefined) await refuseOrphans(context, store, latest);
    if (request.stdin !== null && input === undefined) {
      // Only a new job needs it, and it may take its time. Then much may have happened to the key.
      store.disconnect();
      input = await openInput(context, request.stdin, request.rerunOfJobId);
      onReady();
      continue;
    }

    const { directory, policy: _, ...asked } = request;
    const identity = {
      ...asked,
      jobId: Bun.randomUUIDv7(),
      token: crypto.randomUUID(),
      attemptNo: (latest?.attemptNo ?? 0) + 1,
      cwd,
      origin: context.origin,
    };
    const lockFile = lockFilePath(context.home, identity.jobId);
    // The witness of life is there before anybody can see the job, and passes on to the worker: at no moment is the job
    // without an owner. If the claim throws, it stays: a commit that reported an error may yet be found on the disk.
    const given = input?.placeFor(identity.jobId);
    let worker: PreparedWorker;
    try {
      worker = spawnWorker(context.home, identity, createLock(lockFile), directory, given);
    } catch (error) {
      input?.dropFor(identity.jobId);
      throw error;
    } finally {
      if (given !== undefined) closeFile(given);
    }
    const move = await beginMoveIntoScope(context, identity, worker.identity.pid, supervised);
    if (move.demanded) {
      try {
        await move.done;
      } catch (error) {
        removeFile(lockFile);
        input?.dropFor(identity.jobId);
        worker.release();
        throw error;
      }
    }
    const accepted = await store.claim(
      { ...identity, worker: worker.identity },
      { expected: latest?.jobId, strict, useOverride },
      now(),
    );
    if (accepted === undefined) {
      removeFile(lockFile);
      input?.dropFor(identity.jobId);
    }
    // Before the command runs, or its first children would be left behind.
    const { unit, warnings } = await move.done;
    worker.release();
    if (accepted !== undefined) {
      input?.close();
      // The worker has its own work meanwhile.
      const { output, command, onExit } = request;
      const truncations = [
        output === "file" ? findTruncation(command, cwd) : undefined,
        onExit === null ? undefined : findHookTruncation(onExit.command, cwd),
      ].filter((truncation) => truncation !== undefined);
      return { existing: false, job: { ...accepted, unit }, warnings: [...warnings, ...truncations] };
    }
    // Somebody else was faster; look again.
  }
}

/** The job that the caller's retry token stands for, whatever became of it. */
async function findKnown(context: Context, store: JobStore, request: StartRequest): Promise<Job | undefined> {
  if (request.requestId === null) return undefined;
  const known = await store.findRequest(request.runKey, request.requestId);
  if (known === undefined) return undefined;
  // A job that was only given back for this id may have another command: that was said then, and is said again.
  if (known.requestId === request.requestId && !isSameCommand(known, request)) {
    throw new OrchesjobError(
      "conflict",
      `the request id ${JSON.stringify(request.requestId)} of run key ${JSON.stringify(request.runKey)} stands for job ${known.jobId}, whose command is another; use a new --request-id for a new command`,
    );
  }
  return reconcile(context, store, known);
}

/** The newest job of the key, in truth; whether the key is strict; and whether an override lets it run once more. Throws `conflict`. */
async function resolveLatest(
  context: Context,
  store: JobStore,
  request: StartRequest,
): Promise<{ readonly latest: Job | undefined; readonly strict: boolean; readonly useOverride: boolean }> {
  const { runKey, policy } = request;
  const found = await store.latest(runKey);
  const latest = found && (await reconcile(context, store, found, true));
  // A rerun says nothing of it: the key is what it was started as.
  const isAsked = policy.strict || request.rerunOfJobId !== null;
  if (!isAsked || (latest !== undefined && isActive(latest.status)))
    return { latest, strict: policy.strict, useOverride: false };
  const { strictJobId, override } = await store.strictness(runKey, now());
  if (!policy.strict && strictJobId === undefined) return { latest, strict: false, useOverride: false };
  if (latest === undefined && strictJobId !== undefined && !override) {
    // Or it has begun to run just now, between our two looks.
    if ((await store.latest(runKey)) !== undefined) return resolveLatest(context, store, request);
    throw new OrchesjobError(
      "conflict",
      `the strict run key ${JSON.stringify(runKey)} has run already, as job ${strictJobId}, whose history was cleaned; ${unlockLine(runKey)}`,
    );
  }
  return {
    latest,
    strict: true,
    useOverride: override && (latest !== undefined || strictJobId !== undefined),
  };
}

function alreadyActive(job: Job): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `cannot rerun ${JSON.stringify(job.runKey)}: job ${job.jobId} is ${job.status}; wait for it: orchesjob wait --job-id ${job.jobId}`,
  );
}

function alreadyRun({ runKey, jobId }: Job): OrchesjobError {
  return new OrchesjobError(
    "conflict",
    `cannot rerun ${JSON.stringify(runKey)}: it is a strict run key, and job ${jobId} was its one run; ${unlockLine(runKey)}`,
  );
}

function unlockLine(runKey: string): string {
  return `to run it once more: ${commandLine(["unlock", ...optionWords("--run-key", runKey)])}`;
}

/** Law 6: ended does not mean free. */
async function refuseOrphans(context: Context, store: JobStore, job: Job): Promise<void> {
  const orphans = await findOrphans(context, store, job);
  if (!hasOrphans(orphans)) return;
  const { describeSurvivors } = await import("./survivors.ts");
  const { end, who, hint } = describeSurvivors(context, job, orphans);
  throw new OrchesjobError(
    "conflict",
    `cannot start ${JSON.stringify(job.runKey)}: ${end}, but ${who}; ${hint}`,
  );
}
