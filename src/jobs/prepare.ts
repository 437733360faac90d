/** The second step of a start: creates everything that must exist before the job is visible. */
import type { NewJob } from "../job/job.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { createLock } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import { beginMoveIntoScope, type Placement } from "../systemd/placement.ts";
import { type PreparedWorker, spawnWorker } from "../worker/spawn.ts";
import { Input } from "./input.ts";
import type { FreeKey } from "./resolve.ts";
import type { StartRequest } from "./start-request.ts";

export interface PreparedJob {
  readonly job: NewJob;
  readonly worker: PreparedWorker;
  /** Resolves when the worker is where it will run: in a scope, or where it is. */
  readonly placement: Promise<Placement>;
  /** Deletes the files of a job that was not accepted. */
  discard(): void;
}

/**
 * Creates the job's lock file, and a worker that inherits the lock and waits for its release. The lock is held before the job is
 * visible, and passes to the worker, so the job is never without an owner. Throws OrchesjobError or SystemError.
 */
export async function prepare(
  context: Context,
  request: StartRequest,
  { latest, override }: FreeKey,
  input: Input | undefined,
  supervised: boolean,
): Promise<PreparedJob> {
  const { directory, policy: _, ...asked } = request;
  const identity = {
    ...asked,
    jobId: Bun.randomUUIDv7(),
    token: crypto.randomUUID(),
    attemptNo: (latest?.attemptNo ?? 0) + 1,
    // A plain start runs the key again, too.
    rerunOfJobId: request.rerunOfJobId ?? latest?.jobId ?? null,
    rerunReason: request.rerunReason ?? override?.reason ?? null,
    cwd: directory ?? process.cwd(),
    origin: context.origin,
  };
  const { jobId } = identity;
  debug?.about(jobId);
  const lockFile = lockFilePath(context.home, jobId);
  const given = input?.placeFor(jobId);
  let worker: PreparedWorker;
  try {
    worker = spawnWorker(context.home, identity, createLock(lockFile), directory, given);
    debug?.note(`spawned worker ${worker.identity.pid}`);
  } catch (error) {
    input?.dropFor(jobId);
    throw error;
  } finally {
    if (given !== undefined) closeFile(given);
  }
  const discard = () => {
    removeFile(lockFile);
    input?.dropFor(jobId);
  };
  const move = await beginMoveIntoScope(context, identity, worker.identity.pid, supervised);
  if (move.demanded) {
    try {
      await move.done;
    } catch (error) {
      discard();
      worker.release();
      throw error;
    }
  }
  return { job: { ...identity, worker: worker.identity }, worker, placement: move.done, discard };
}
