import { isActive } from "../../job/status.ts";
import { findJob } from "../../jobs/find.ts";
import { followJob, NO_CONTROL } from "../../jobs/follow.ts";
import { copyLog, findTail } from "../../jobs/logs.ts";
import { refuseOwnJob } from "../../jobs/self-call.ts";
import { isContainersCommand } from "../../linux/self.ts";
import { Interruption } from "../../linux/signals.ts";
import { LOG_STREAMS } from "../../state/paths.ts";
import { defineCommand, flag, optional, short, withDefault } from "../command.ts";
import { keyOperand, selectorOptions, toSelector } from "../options/selectors.ts";
import { oneOf, wholeNumber } from "../options/values.ts";

export const logs = defineCommand({
  name: "logs",
  summary: "Print the output of a job, byte for byte",
  ...keyOperand,
  options: {
    ...selectorOptions,
    stream: withDefault(
      "--stream",
      "STREAM",
      "Which stream (default: stdout)",
      oneOf("--stream", LOG_STREAMS),
      "stdout",
    ),
    tail: short("-n", optional("--tail", "N", "Only the last N lines", wholeNumber("--tail", 0))),
    follow: short("-f", flag("--follow", "Continue with new output as it comes, until the job ends")),
  },
  examples: [
    "orchesjob logs nightly-backup",
    "orchesjob logs nightly-backup -n 20 -f",
    "orchesjob logs nightly-backup#3 --stream stderr",
  ],
  async run({ options, operands, context, output }) {
    const { store, job } = await findJob(context, toSelector(options, operands));
    const { stream, tail, follow } = options;
    if (job.elsewhere !== undefined) {
      const { onlyThere } = await import("../../jobs/elsewhere.ts");
      throw onlyThere(job, ["logs", "--job-id", job.jobId, ...(follow ? ["--follow"] : [])]);
    }
    const from = tail === undefined ? 0 : findTail(context, job, stream, tail);
    if (!follow) {
      copyLog(context, job, stream, output.descriptor, from);
      return 0;
    }
    refuseOwnJob(job, "follow");
    // Only as the command of a container: for the first process there the kernel ignores signals without a handler. Elsewhere
    // the signal just ends this process.
    const interruption = new Interruption();
    if (isContainersCommand()) interruption.listen();
    const ended = await followJob(context, store, job, [{ stream, descriptor: output.descriptor, from }], {
      ...NO_CONTROL,
      isLeaving: () => Promise.resolve(interruption.signal !== undefined),
    });
    if (interruption.signal !== undefined && isActive(ended.status))
      return (await import("../output/remarks.ts")).leave(context, ended, interruption.signal);
    if (ended.status === "LOST") context.notify(`job ${ended.jobId} is lost (${ended.lostReason})`);
    return 0;
  },
});
