/** `cancel` for more than one job, where the answer is an array; and what it would do. */
import { EXIT_CODES } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import type { CancelOrder } from "../../jobs/cancel.ts";
import { canBeCancelled, cancelJobs } from "../../jobs/cancel-several.ts";
import { describeFilter, findSeveral, type SeveralJobs } from "../../jobs/find-several.ts";
import { NO_ORPHANS } from "../../jobs/reconcile.ts";
import type { Context } from "../../state/context.ts";
import { isOne } from "../options/several-jobs.ts";
import { answer } from "../output/answer.ts";
import { cancelView, describeCancelled, explainCancel } from "../output/cancelled.ts";
import type { Output } from "../output/output.ts";

/** Returns the exit code. Throws OrchesjobError. */
export async function cancelSeveral(
  context: Context,
  output: Output,
  selected: SeveralJobs,
  order: CancelOrder,
  dryRun: boolean,
): Promise<number> {
  const { filter } = selected;
  const { store, jobs: found } = await findSeveral(context, selected);
  // A filter means the jobs that can be cancelled. A named job that cannot is an error.
  const jobs = filter === undefined ? found : found.filter((job) => canBeCancelled(context, job));
  if (store === undefined || jobs.length === 0) {
    output.json([]);
    context.notify(`nothing to cancel: no active job with ${describeFilter(filter!)}`);
    return 0;
  }
  if (dryRun) return showCancel(context, output, jobs, isOne(selected));
  const outcomes = await cancelJobs(context, store, jobs, order);
  answer(
    output,
    outcomes.map((outcome) => cancelView(context, outcome)),
    () => outcomes.map(describeCancelled).join("; "),
  );
  let code = 0;
  for (const outcome of outcomes) {
    const { error } = outcome;
    const problem = error?.message ?? (await explainCancel(context, outcome));
    if (problem === undefined) continue;
    context.notify(problem);
    code ||= error?.exitCode ?? EXIT_CODES.conflict;
  }
  return code;
}

/** Touches nothing. */
function showCancel(context: Context, output: Output, jobs: readonly Job[], isObject: boolean): number {
  const views = jobs.map((job) => cancelView(context, { job, survivors: NO_ORPHANS }));
  let code = 0;
  for (const job of jobs) {
    if (canBeCancelled(context, job))
      context.notify(`Would cancel job ${job.jobId} (${job.runKey}, ${job.status})`);
    else {
      context.notify(`cannot cancel job ${job.jobId}: it is already ${job.status}`);
      code = EXIT_CODES.conflict;
    }
  }
  output.json(isObject ? views[0] : views);
  return code;
}
