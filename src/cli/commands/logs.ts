import { isActive } from "../../job/status.ts";
import { isContainersCommand } from "../../os/self.ts";
import { Interruption } from "../../os/signals.ts";
import { refuseOwnJob } from "../../runner/ancestry.ts";
import { findJob } from "../../runner/find.ts";
import { followJob, NO_ERRAND } from "../../runner/follow.ts";
import { copyLog, findTail, LOG_STREAMS } from "../../runner/logs.ts";
import { defineCommand, flag, optional, withDefault } from "../command.ts";
import { selectorOptions, toSelector } from "../selectors.ts";
import { oneOf, wholeNumber } from "../values.ts";

export const logs = defineCommand({
  name: "logs",
  summary: "Print what a job has written, byte for byte",
  options: {
    ...selectorOptions,
    stream: withDefault(
      "--stream",
      "STREAM",
      "Which of the two (default: stdout)",
      oneOf("--stream", LOG_STREAMS),
      "stdout",
    ),
    tail: optional("--tail", "N", "Only the last N lines", wholeNumber("--tail", 0)),
    follow: flag("--follow", "Go on with what comes, until the job ends"),
  },
  examples: [
    "orchesjob logs --run-key nightly-backup",
    "orchesjob logs --run-key nightly-backup --stream stderr --tail 20 --follow",
  ],
  async run({ options, context, output }) {
    const { store, job } = await findJob(context, toSelector(options));
    const { stream, tail, follow } = options;
    const from = tail === undefined ? 0 : findTail(context, job, stream, tail);
    if (!follow) {
      copyLog(context, job, stream, output.descriptor, from);
      return 0;
    }
    refuseOwnJob(job, "follow");
    // Others a signal ends without a word; from a container's first process the kernel keeps what that does not handle.
    const interruption = new Interruption();
    if (isContainersCommand()) interruption.listen();
    const ended = await followJob(context, store, job, [{ stream, descriptor: output.descriptor, from }], {
      ...NO_ERRAND,
      isLeaving: () => Promise.resolve(interruption.signal !== undefined),
    });
    if (interruption.signal !== undefined && isActive(ended.status))
      return (await import("../remarks.ts")).leave(context, ended, interruption.signal);
    if (ended.status === "LOST") context.notify(`job ${ended.jobId} is lost (${ended.lostReason})`);
    return 0;
  },
});
