/** Waits for the processes that a job has left: those that hold its run key. */
import type { Job } from "../job/job.ts";
import { EndWatch } from "../linux/end-watch.ts";
import { probeLock } from "../linux/file-lock.ts";
import type { Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { keeperLock } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { outlastOrphans } from "../worker/keeper.ts";
import { isFinished } from "./start.ts";
import { hasOrphans, OrphanFinder } from "./reconcile.ts";

/** Pause between two looks for what the keeper records, in ms. */
const RECORD_STEP_MS = 20;

/**
 * Waits until no process of a finished job lives, at most `timeoutMs`, or until a signal comes. Returns the job as it is then: if
 * it is LOST, the keeper has recorded what became of them, unless it was killed.
 */
export async function waitForOrphans(
  context: Context,
  store: JobStore,
  job: Job,
  timeoutMs: number,
  interruption: Interruption,
): Promise<Job> {
  if (job.elsewhere !== undefined) {
    const { waitElsewhere } = await import("./elsewhere.ts");
    const isFree = (seen: Job) => isFinished(seen) && seen.elsewhere?.holdsKey !== true;
    return waitElsewhere(context, job, isFree, timeoutMs, interruption);
  }
  const finder = new OrphanFinder(context);
  const endAt = performance.now() + timeoutMs;
  const restMs = () => endAt - performance.now();
  const isOver = () => interruption.signal !== undefined || restMs() <= 0;
  if (hasOrphans(finder.find(job))) {
    await finder.keep();
    // It may take long, and somebody may replace the database meanwhile.
    store.disconnect();
    await outlastOrphans(context, job, new EndWatch(() => false, isOver), isOver, restMs);
  }
  const isKept = () => probeLock(keeperLock(context.home, job.jobId)) === "held";
  while (!isOver() && isKept()) await Bun.sleep(RECORD_STEP_MS);
  return (await store.find(job.jobId)) ?? job;
}
