/** The second step of a start: all that must be there before anybody can see the job. */
import type { Job, NewJob } from "../job/job.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { createLock } from "../state/job-lock.ts";
import { lockFilePath } from "../state/paths.ts";
import { beginMoveIntoScope, type Placement } from "../systemd/placement.ts";
import { type PreparedWorker, spawnWorker } from "../worker/spawn.ts";
import { Input } from "./input.ts";
import type { StartRequest } from "./start-request.ts";

export interface PreparedJob {
  readonly job: NewJob;
  readonly worker: PreparedWorker;
  /** Where its processes will be, once that is settled. */
  readonly placement: Promise<Placement>;
  /** Takes away what was made for it: it was not accepted. */
  discard(): void;
}

/**
 * Makes a job's lock file, and a worker that owns the lock and waits for its release. The witness of life is there before
 * anybody can see the job, and passes on to the worker: at no moment is the job without an owner. `latest`: the key's newest
 * job. Throws OrchesjobError or SystemError.
 */
export async function prepare(
  context: Context,
  request: StartRequest,
  latest: Job | undefined,
  input: Input | undefined,
  supervised: boolean,
): Promise<PreparedJob> {
  const { directory, policy: _, ...asked } = request;
  const identity = {
    ...asked,
    jobId: Bun.randomUUIDv7(),
    token: crypto.randomUUID(),
    attemptNo: (latest?.attemptNo ?? 0) + 1,
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
