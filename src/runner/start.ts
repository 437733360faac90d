/** `start`: one job per run key. Accepts durably, hands over to a detached worker, and answers when the command runs. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { now } from "../os/clock.ts";
import { removeFile } from "../os/file.ts";
import { lockFilePath } from "../os/home.ts";
import { createLock } from "../os/lock.ts";
import { spawnWorker } from "../os/worker-process.ts";
import type { JobStore } from "../store/store.ts";
import type { Context } from "./context.ts";
import { hasOrphans, OrphanFinder, reconcile } from "./reconcile.ts";
import { waitForJob } from "./wait.ts";

export interface StartRequest {
  readonly runKey: string;
  readonly command: readonly string[];
  readonly sync: boolean;
  /** How long to wait for the command to run, in ms. */
  readonly startTimeoutMs: number;
}

export interface StartResult {
  readonly existing: boolean;
  readonly job: Job;
}

export async function startJob(context: Context, request: StartRequest): Promise<StartResult> {
  const store = context.createStore();
  const { existing, job } = await acceptJob(context, store, request);
  const wanted = request.sync ? isFinished : isLaunched;
  const timeoutMs = request.sync ? Number.POSITIVE_INFINITY : request.startTimeoutMs;
  return {
    existing,
    job: wanted(job) || timeoutMs === 0 ? job : await waitForJob(context, store, job, wanted, timeoutMs),
  };
}

function isFinished(job: Job): boolean {
  return !isActive(job.status);
}

/** The command runs, or it never will. */
function isLaunched(job: Job): boolean {
  return isFinished(job) || job.target !== null;
}

async function acceptJob(context: Context, store: JobStore, request: StartRequest): Promise<StartResult> {
  const cwd = process.cwd();
  for (;;) {
    let latest = await store.latest(request.runKey);
    if (latest !== undefined) latest = await reconcile(context, store, latest);
    if (latest !== undefined && isActive(latest.status)) return { existing: true, job: latest };
    if (latest !== undefined) refuseOrphans(context, latest);

    const identity = {
      jobId: Bun.randomUUIDv7(),
      runKey: request.runKey,
      attemptNo: (latest?.attemptNo ?? 0) + 1,
    };
    const lockFile = lockFilePath(context.home, identity.jobId);
    // The witness of life is there before anybody can see the job, and passes on to the worker: at no moment is the job
    // without an owner. If the claim throws, it stays: a commit that reported an error may yet be found on the disk.
    const worker = spawnWorker(context.home, identity, createLock(lockFile));
    const job = { ...identity, command: request.command, cwd, origin: context.origin };
    const accepted = await store.claim(job, latest?.jobId, now());
    if (accepted === undefined) removeFile(lockFile);
    worker.release();
    if (accepted !== undefined) return { existing: false, job: accepted };
    // Somebody else was faster; look again.
  }
}

/** Law 6: LOST does not mean free. */
function refuseOrphans(context: Context, job: Job): void {
  const orphans = new OrphanFinder(context).find(job);
  if (!hasOrphans(orphans)) return;
  const who =
    orphans.pids.length > 0
      ? `still runs: ${orphans.pids.length === 1 ? "process" : "processes"} ${orphans.pids.join(", ")}, for ${Math.round(orphans.ageSeconds ?? 0)} s`
      : "is still held by a process that cannot be seen from here (another container, or another user)";
  const wayOut =
    orphans.pids.length > 0
      ? `wait for its end, or end it: kill ${orphans.pids.join(" ")}`
      : "wait for its end, or end it where it runs";
  throw new OrchesjobError(
    "conflict",
    `cannot start ${JSON.stringify(job.runKey)}: the worker of job ${job.jobId} is lost, but its command ${who}; ${wayOut}`,
  );
}
