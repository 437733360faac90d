import { EXIT_CODES, OrchesjobError } from "../../job/errors.ts";
import { passedOnExitCode, SIGNAL_BASE, TIMED_OUT } from "../../job/exit-status.ts";
import { Interruption } from "../../linux/signals.ts";
import { refuseOwnJob } from "../../jobs/self-call.ts";
import { findJob } from "../../jobs/find.ts";
import { describeAfterLeaving } from "../../jobs/after-leaving.ts";
import { hasOrphans, OrphanFinder, reportOrphans } from "../../jobs/reconcile.ts";
import { isFinished } from "../../jobs/start.ts";
import { waitForJob } from "../../jobs/wait.ts";
import { defineCommand, flag, optional } from "../command.ts";
import { leave } from "../output/remarks.ts";
import { keyOperands } from "../options/selectors.ts";
import { isOne, severalOptions, toSeveralJobs } from "../options/several-jobs.ts";
import { duration } from "../options/values.ts";
import { jobView } from "../output/views.ts";

export const wait = defineCommand({
  name: "wait",
  summary: "Wait until a job, or several, have ended, and print what status prints",
  ...keyOperands,
  options: {
    ...severalOptions,
    any: flag("--any", "Of several jobs, wait only until the first has ended"),
    timeout: optional(
      "--timeout",
      "DURATION",
      "Give up after this time (90, 30m, 2h, 1h30m, 1d) and exit 1; the job goes on",
      duration("--timeout"),
    ),
    orphans: flag(
      "--orphans",
      "Also wait for the processes of a job that was lost, cancelled or timed out: then its run key is free",
    ),
    exitStatus: flag(
      "--exit-status",
      "Exit with the code of the job (of several: 0 if all succeeded, else that of the first that did not, in the order of the answer); 124: timed out, 125: lost, or orchesjob failed; 126, 127 and 128+N as in a shell",
    ),
  },
  examples: [
    "orchesjob wait nightly-backup",
    "orchesjob wait --job-id ID --timeout 30m --exit-status",
    "orchesjob wait extract-a extract-b extract-c --exit-status",
    "orchesjob wait --label batch=n1 --any",
    "orchesjob wait nightly-backup --orphans",
  ],
  passesExitCode: (options) => options.exitStatus,
  answer: async () => (await import("../answers/job.ts")).WAIT,
  async run({ options, operands, context, output }) {
    const interruption = new Interruption();
    interruption.listen();
    const selected = toSeveralJobs(options, operands);
    if (!isOne(selected)) {
      const { waitForSeveral } = await import("./wait-several.ts");
      return waitForSeveral(context, output, selected, options, interruption);
    }
    const { store, job } = await findJob(context, selected.named[0]!);
    refuseOwnJob(job, "wait for");
    const endAt = performance.now() + (options.timeout ?? Number.POSITIVE_INFINITY);
    const restMs = () => endAt - performance.now();
    let ended = await waitForJob(context, store, job, isFinished, restMs(), interruption);
    if (options.orphans && isFinished(ended))
      ended = await (
        await import("../../jobs/orphans.ts")
      ).waitForOrphans(context, store, ended, restMs(), interruption);
    if (interruption.signal !== undefined && !isFinished(ended))
      return leave(context, ended, interruption.signal);
    const orphans = new OrphanFinder(context).find(ended);
    output.json(jobView(context.home, ended, orphans));
    await reportOrphans(context, ended, orphans);
    const isHeld = options.orphans && (hasOrphans(orphans) || ended.elsewhere?.holdsKey === true);
    if (isHeld && interruption.signal !== undefined) return SIGNAL_BASE + interruption.signal;
    if (isHeld) return options.exitStatus ? TIMED_OUT : EXIT_CODES.general;
    if (isFinished(ended)) return options.exitStatus ? passedOnExitCode(ended) : 0;
    const error = new OrchesjobError(
      "general",
      `job ${ended.jobId} is still ${ended.status}`,
      `it ${describeAfterLeaving(context, ended)}`,
    );
    context.notify(error.message);
    return options.exitStatus ? TIMED_OUT : error.exitCode;
  },
});
