import { endedEarly } from "../../job/ending.ts";
import { EXIT_CODES } from "../../job/errors.ts";
import { isActive } from "../../job/status.ts";
import { cancelJob } from "../../jobs/cancel.ts";
import { hasOrphans, OrphanFinder } from "../../jobs/reconcile.ts";
import { DEFAULT_GRACE_MS } from "../../processes/terminate.ts";
import type { CancelView } from "../answers/job.ts";
import { answer } from "../output/answer.ts";
import { defineCommand, optional, withDefault } from "../command.ts";
import { keyOperand, selectorOptions, toSelector } from "../options/selectors.ts";
import { durationOrZero, shortText } from "../options/values.ts";
import { jobView } from "../output/views.ts";

export const cancel = defineCommand({
  name: "cancel",
  aliases: ["abort"],
  summary: "End a job and all its processes: TERM, a grace period, KILL",
  ...keyOperand,
  options: {
    ...selectorOptions,
    reason: optional("--reason", "TEXT", "Why, for anyone who looks at the job later", shortText("--reason")),
    graceSeconds: withDefault(
      "--grace-seconds",
      "DURATION",
      "Time between TERM and KILL, for example 60 or 1m (default: 5)",
      durationOrZero("--grace-seconds"),
      DEFAULT_GRACE_MS,
    ),
  },
  examples: [
    "orchesjob cancel nightly-backup",
    `orchesjob cancel --job-id ID --reason "wrong day" --grace-seconds 60`,
  ],
  answer: async () => (await import("../answers/job.ts")).CANCEL,
  async run({ options, operands, context, output }) {
    const order = { reason: options.reason ?? null, graceMs: options.graceSeconds };
    const { job, survivors } = await cancelJob(context, toSelector(options, operands), order);
    const { pids } = survivors;
    const view: CancelView = {
      ...jobView(context.home, job, new OrphanFinder(context).find(job)),
      survivors: pids,
    };
    answer(
      output,
      view,
      () =>
        `job ${job.jobId} is ${job.status}${pids.length === 0 ? "" : `, but of its processes these still live: ${pids.join(", ")}`}; see it: orchesjob status --job-id ${job.jobId}`,
    );
    if (isActive(job.status)) {
      const isHere = job.origin === null || job.origin.pidNamespace === context.origin.pidNamespace;
      context.notify(
        isHere
          ? `job ${job.jobId}: its worker was asked to end it, but has not recorded the end yet; is the disk full? see: orchesjob doctor`
          : `job ${job.jobId}: its worker does not answer, and cannot be reached from here (another container); cancel it where it runs`,
      );
      return EXIT_CODES.conflict;
    }
    if (!endedEarly(job)) {
      context.notify(
        `job ${job.jobId} ended before it could be cancelled: ${job.status}${job.error === null ? "" : ` (${job.error})`}`,
      );
      return EXIT_CODES.conflict;
    }
    if (hasOrphans(survivors)) {
      const { describeSurvivors } = await import("../../jobs/survivors.ts");
      const { who, hint } = describeSurvivors(context, job, survivors, true);
      context.notify(`job ${job.jobId} is ${job.status}, but ${who}; ${hint}`);
      return EXIT_CODES.conflict;
    }
    return 0;
  },
});
