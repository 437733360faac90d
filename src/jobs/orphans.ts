/** Waits for the processes that a job has left: those that hold its run key. */
import { awaitsOrphans } from "../job/ending.ts";
import type { Job } from "../job/job.ts";
import { EndWatch } from "../linux/end-watch.ts";
import { probeLock } from "../linux/file-lock.ts";
import type { Interruption } from "../linux/signals.ts";
import type { Context } from "../state/context.ts";
import { keeperLock } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { outlastOrphans, REAPED_MS } from "../worker/keeper.ts";
import { isFinished } from "./start.ts";
import { hasOrphans, keepOrphans, OrphanFinder } from "./orphan-finder.ts";
import { reread } from "./reconcile.ts";

/** How long to wait for the record of a keeper that lives, in ms. It may be stopped, and the key is free. */
const RECORD_MS = REAPED_MS + 1_000;
/** How long to wait for a keeper that does not live, or does not live yet, in ms. */
const BEGIN_MS = 1_000;
/** Pause between two looks for what the keeper records, in ms. */
const RECORD_STEP_MS = 20;

/**
 * Waits until no process of a finished job lives, at most `timeoutMs`, or until a signal comes. Returns the job as it is then: if
 * it is LOST, a keeper has recorded what became of them, unless it was killed or stopped at the end.
 */
export async function waitForOrphans(
  context: Context,
  store: JobStore,
  job: Job,
  timeoutMs: number,
  interruption: Interruption,
): Promise<Job> {
  const endAt = performance.now() + timeoutMs;
  const restMs = () => endAt - performance.now();
  if (job.elsewhere !== undefined) {
    const { waitElsewhere } = await import("./elsewhere.ts");
    const isFree = (seen: Job) => isFinished(seen) && seen.elsewhere?.holdsKey !== true;
    if (isFree(job)) return job;
    const freed = await waitElsewhere(context, job, isFree, timeoutMs, interruption);
    // Its member may publish what became of them a moment later.
    const isTold = (seen: Job) => !isFree(seen) || !awaitsOrphans(seen);
    return waitElsewhere(context, freed, isTold, Math.min(restMs(), RECORD_MS), interruption);
  }
  const finder = new OrphanFinder(context);
  const isOver = () => interruption.signal !== undefined || restMs() <= 0;
  const hadOrphans = hasOrphans(finder.find(job));
  if (hadOrphans) {
    await finder.keep();
    // It may take long, and somebody may replace the database meanwhile.
    store.disconnect();
    const watch = new EndWatch(() => false, isOver);
    // A keeper that was killed is replaced.
    await outlastOrphans(context, job, watch, isOver, restMs, () => keepOrphans(context, [job]));
  }
  const begin = performance.now();
  for (;;) {
    // Before reading: what was recorded before the keeper ended is seen.
    const isKept = probeLock(keeperLock(context.home, job.jobId)) === "held";
    const current = await reread(context, store, job);
    const patienceMs = isKept ? RECORD_MS : hadOrphans ? BEGIN_MS : 0;
    if (!awaitsOrphans(current) || isOver() || performance.now() - begin >= patienceMs) return current;
    await Bun.sleep(RECORD_STEP_MS);
  }
}
