import { EXIT_CODES } from "../../job/errors.ts";
import { cancelJob } from "../../jobs/cancel.ts";
import { DEFAULT_GRACE_MS } from "../../processes/terminate.ts";
import { answer } from "../output/answer.ts";
import { cancelView, describeCancelled, explainCancel } from "../output/cancelled.ts";
import { defineCommand, flag, optional, withDefault } from "../command.ts";
import { keyOperands } from "../options/selectors.ts";
import { isOne, severalOptions, toSeveralJobs } from "../options/several-jobs.ts";
import { durationOrZero, shortText } from "../options/values.ts";

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
    if (options.dryRun || !isOne(selected)) {
      const { cancelSeveral } = await import("./cancel-several.ts");
      return cancelSeveral(context, output, selected, order, options.dryRun);
    }
    const result = await cancelJob(context, selected.named[0]!, order);
    answer(output, cancelView(context, result), () => describeCancelled(result));
    const problem = await explainCancel(context, result);
    if (problem === undefined) return 0;
    context.notify(problem);
    return EXIT_CODES.conflict;
  },
});
