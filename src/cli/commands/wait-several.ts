/** `wait` for more than one job: the answer is an array. */
import { OWN_FAILURE, passedOnExitCode, SIGNAL_BASE, TIMED_OUT } from "../../job/exit-status.ts";
import { EXIT_CODES } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { eachOnce, findSeveral, noneFound, type SeveralJobs } from "../../jobs/find-several.ts";
import { hasOrphans, OrphanFinder, reportOrphans } from "../../jobs/reconcile.ts";
import { refuseOwnJob } from "../../jobs/self-call.ts";
import { isFinished } from "../../jobs/start.ts";
import { waitForJobs } from "../../jobs/wait-several.ts";
import type { Interruption } from "../../linux/signals.ts";
import type { Context } from "../../state/context.ts";
import type { Output } from "../output/output.ts";
import { jobView } from "../output/views.ts";

interface WaitOptions {
  readonly any: boolean;
  readonly exitStatus: boolean;
  readonly timeout: number | undefined;
  readonly orphans: boolean;
}

/** Returns the exit code. Throws OrchesjobError. */
export async function waitForSeveral(
  context: Context,
  output: Output,
  selected: SeveralJobs,
  { any, exitStatus, timeout, orphans: waitsForOrphans }: WaitOptions,
  interruption: Interruption,
): Promise<number> {
  const { store, jobs } = await findSeveral(context, selected);
  if (store === undefined || jobs.length === 0) throw noneFound(context, selected.filter!);
  for (const job of jobs) refuseOwnJob(job, "wait for");
  const limit = timeout ?? Number.POSITIVE_INFINITY;
  const endAt = performance.now() + limit;
  let seen = eachOnce(await waitForJobs(context, store, jobs, any ? "any" : "all", limit, interruption));
  if (waitsForOrphans) {
    const { waitForOrphans } = await import("../../jobs/orphans.ts");
    const freed: Job[] = [];
    for (const job of seen) {
      const restMs = endAt - performance.now();
      freed.push(isFinished(job) ? await waitForOrphans(context, store, job, restMs, interruption) : job);
    }
    seen = freed;
  }
  const ended = seen.filter(isFinished);
  const isOver = any ? ended.length > 0 : ended.length === seen.length;
  const { signal } = interruption;
  if (signal !== undefined && !isOver) {
    context.notify(`left ${seen.length} jobs, of which ${ended.length} have ended; the others go on`);
    const { dieOf } = await import("../../systemd/unit.ts");
    dieOf(signal);
    return SIGNAL_BASE + signal;
  }
  const finder = new OrphanFinder(context);
  const views = [];
  let isHeld = false;
  for (const job of seen) {
    const orphans = finder.find(job);
    views.push(jobView(context.home, job, orphans));
    isHeld ||=
      waitsForOrphans && (hasOrphans(orphans) || job.elsewhere?.holdsKey === true) && isFinished(job);
    await reportOrphans(context, job, orphans);
  }
  output.json(views);
  if (isOver && isHeld && signal !== undefined) return SIGNAL_BASE + signal;
  if (isOver && isHeld) return exitStatus ? TIMED_OUT : EXIT_CODES.general;
  if (isOver) return exitStatus ? firstFailure(ended) : 0;
  const active = seen.filter((job) => !isFinished(job)).map(({ runKey }) => JSON.stringify(runKey));
  const shown = active.length > SHOWN ? [...active.slice(0, SHOWN), "…"] : active;
  context.notify(`${active.length} of ${seen.length} jobs have not ended: ${shown.join(", ")}; they go on`);
  return exitStatus ? TIMED_OUT : EXIT_CODES.general;
}

/** How many run keys a message names. */
const SHOWN = 5;

/** The exit code of the first job that did not succeed; 0: all have. */
function firstFailure(ended: readonly Job[]): number {
  const failed = ended.find(({ status }) => status !== "SUCCEEDED");
  // A job that did not succeed never counts as one that did.
  return failed === undefined ? 0 : passedOnExitCode(failed) || OWN_FAILURE;
}
