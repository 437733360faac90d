import { EXIT_CODES } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { canBeCancelled } from "../../jobs/cancel-steps.ts";
import { cancelJobs, findMeant } from "../../jobs/cancel.ts";
import { describeFilter, findSeveral } from "../../jobs/find-several.ts";
import { NO_ORPHANS } from "../../jobs/orphan-finder.ts";
import { DEFAULT_GRACE_MS } from "../../processes/terminate.ts";
import type { Context } from "../../state/context.ts";
import { answer } from "../output/answer.ts";
import { cancelView, describeCancelled, explainCancel } from "../output/cancelled.ts";
import { defineCommand, flag, optional, withDefault } from "../command.ts";
import { keyOperands } from "../options/selectors.ts";
import { isOne, severalOptions, toSeveralJobs } from "../options/several-jobs.ts";
import { durationOrZero, shortText } from "../options/values.ts";
import type { Output } from "../output/output.ts";

export const cancel = defineCommand({
  name: "cancel",
  aliases: ["abort"],
  summary: "End a job, or several, and all their processes: TERM, a grace period, KILL",
  ...keyOperands,
  options: {
    ...severalOptions,
    reason: optional("--reason", "TEXT", "Why, for anyone who looks at the job later", shortText("--reason")),
    graceSeconds: withDefault(
      "--grace-seconds",
      "DURATION",
      "Time between TERM and KILL, for example 60 or 1m (default: 5)",
      durationOrZero("--grace-seconds"),
      DEFAULT_GRACE_MS,
    ),
    dryRun: flag("--dry-run", "End nothing; say on stderr which jobs would be cancelled"),
  },
  examples: [
    "orchesjob cancel nightly-backup",
    `orchesjob cancel --job-id ID --reason "wrong day" --grace-seconds 60`,
    "orchesjob cancel extract-a extract-b",
    "orchesjob cancel --label batch=n1 --dry-run",
  ],
  answer: async () => (await import("../answers/job.ts")).CANCELLED,
  async run({ options, operands, context, output }) {
    const order = { reason: options.reason ?? null, graceMs: options.graceSeconds };
    const selected = toSeveralJobs(options, operands);
    const { filter } = selected;
    const { store, jobs: found } = await findSeveral(context, selected);
    // A filter means the jobs that can be cancelled. A named job that cannot is an error.
    const jobs = filter === undefined ? found : found.filter((job) => canBeCancelled(context, job));
    if (store === undefined || jobs.length === 0) {
      output.json([]);
      context.notify(`nothing to cancel: no active job with ${describeFilter(filter!)}`);
      return 0;
    }
    if (options.dryRun)
      return showCancel(context, output, await findMeant(context, store, jobs), isOne(selected));
    const outcomes = await cancelJobs(context, store, jobs, order);
    const [first] = outcomes;
    if (isOne(selected) && first!.error !== undefined) throw first!.error;
    const views = outcomes.map((outcome) => cancelView(context, outcome));
    answer(output, isOne(selected) ? views[0] : views, () => outcomes.map(describeCancelled).join("; "));
    let code = 0;
    for (const outcome of outcomes) {
      const { error } = outcome;
      const problem = error?.message ?? (await explainCancel(context, outcome));
      if (problem === undefined) continue;
      context.notify(problem);
      code ||= error?.exitCode ?? EXIT_CODES.conflict;
    }
    return code;
  },
});

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
