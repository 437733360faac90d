import { EXIT_CODES } from "../../job/errors.ts";
import { isActive } from "../../job/status.ts";
import { cancelJob } from "../../runner/cancel.ts";
import { OrphanFinder } from "../../runner/reconcile.ts";
import { DEFAULT_GRACE_MS } from "../../runner/terminate.ts";
import { answer } from "../answer.ts";
import { defineCommand, optional, withDefault } from "../command.ts";
import { selectorOptions, toSelector } from "../selectors.ts";
import { durationOrZero, shortText } from "../values.ts";
import { jobView } from "../views.ts";

export const cancel = defineCommand({
  name: "cancel",
  aliases: ["abort"],
  summary: "End a job with all its processes: TERM, a grace, KILL",
  options: {
    ...selectorOptions,
    reason: optional("--reason", "TEXT", "Why, for those who look at the job later", shortText("--reason")),
    graceSeconds: withDefault(
      "--grace-seconds",
      "DURATION",
      "Time between TERM and KILL, e.g. 60 or 1m (default: 5)",
      durationOrZero("--grace-seconds"),
      DEFAULT_GRACE_MS,
    ),
  },
  examples: [
    "orchesjob cancel --run-key nightly-backup",
    `orchesjob cancel --job-id ID --reason "wrong day" --grace-seconds 60`,
  ],
  async run({ options, context, output }) {
    const order = { reason: options.reason ?? null, graceMs: options.graceSeconds };
    const { job, survivors, unseen } = await cancelJob(context, toSelector(options), order);
    answer(
      output,
      { ...jobView(context.home, job, new OrphanFinder(context).find(job)), survivors },
      () =>
        `job ${job.jobId} is ${job.status}${survivors.length === 0 ? "" : `, and still alive are ${survivors.join(", ")}`}; see it: orchesjob status --job-id ${job.jobId}`,
    );
    if (isActive(job.status)) {
      context.notify(
        `job ${job.jobId}: its worker does not answer, and cannot be reached from here (another container); cancel it where it runs`,
      );
      return EXIT_CODES.conflict;
    }
    if (job.status !== "CANCELLED" && job.status !== "LOST") {
      context.notify(
        `job ${job.jobId} ended before it could be cancelled: ${job.status}${job.error === null ? "" : ` (${job.error})`}`,
      );
      return EXIT_CODES.conflict;
    }
    if (survivors.length > 0) {
      context.notify(
        `job ${job.jobId}: still alive after KILL: ${survivors.join(", ")}; they may wait for a device, belong to another user, or only have a session number in common with the job`,
      );
      return EXIT_CODES.conflict;
    }
    if (unseen) {
      context.notify(
        `job ${job.jobId}: a process that cannot be seen from here (another container, or another user) still has its output open; end it where it runs`,
      );
      return EXIT_CODES.conflict;
    }
    return 0;
  },
});
