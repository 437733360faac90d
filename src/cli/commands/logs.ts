import type { Job } from "../../job/job.ts";
import { isActive } from "../../job/status.ts";
import { findJob } from "../../jobs/find.ts";
import { NO_CONTROL } from "../../jobs/follow.ts";
import { followRun } from "../../jobs/follow-run.ts";
import { copyLog, findTail } from "../../jobs/logs.ts";
import { refuseOwnJob } from "../../jobs/self-call.ts";
import { isContainersCommand } from "../../linux/self.ts";
import { Interruption } from "../../linux/signals.ts";
import { LOG_STREAMS, type LogStream } from "../../state/paths.ts";
import { defineCommand, flag, optional, short, withDefault } from "../command.ts";
import { keyOperand, selectorOptions, toSelector } from "../options/selectors.ts";
import { readInstant } from "../options/time.ts";
import { anyText, oneOf, wholeNumber } from "../options/values.ts";

export const logs = defineCommand({
  name: "logs",
  summary: "Print the output of a job, byte for byte",
  ...keyOperand,
  options: {
    ...selectorOptions,
    stream: withDefault(
      "--stream",
      "STREAM",
      "Which stream (default: stdout); both: in the order in which they came, of a job with --output pipe",
      oneOf<LogStream | "both">("--stream", [...LOG_STREAMS, "both"]),
      "stdout",
    ),
    tail: short("-n", optional("--tail", "N", "Only the last N lines", wholeNumber("--tail", 0))),
    since: optional(
      "--since",
      "DATETIME",
      "Only lines that came at this time or later; 10m: ten minutes ago; of a job with --output pipe",
      anyText(),
    ),
    timestamps: flag(
      "--timestamps",
      "Begin each line with the time when it came, of a job with --output pipe",
    ),
    follow: short("-f", flag("--follow", "Continue with new output as it comes, until the job ends")),
  },
  examples: [
    "orchesjob logs nightly-backup",
    "orchesjob logs nightly-backup -n 20 -f",
    "orchesjob logs nightly-backup#3 --stream stderr",
    "orchesjob logs nightly-backup --stream both --since 10m --timestamps",
  ],
  async run({ options, operands, context, output }) {
    const since = await readInstant("--since", options.since);
    const found = await findJob(context, toSelector(options, operands));
    const { store, job } = found;
    const { stream, tail, follow, timestamps } = options;
    if (job.elsewhere !== undefined) {
      const { onlyThere } = await import("../../jobs/elsewhere.ts");
      const words = ["logs", "--job-id", job.jobId];
      if (stream !== "stdout") words.push("--stream", stream);
      if (options.since !== undefined) words.push("--since", options.since);
      if (timestamps) words.push("--timestamps");
      if (tail !== undefined) words.push("--tail", String(tail));
      if (follow) words.push("--follow");
      throw onlyThere(job, words);
    }
    if (follow) refuseOwnJob(job, "follow");
    // Only as the command of a container: for the first process there the kernel ignores signals without a handler. Elsewhere
    // the signal just ends this process.
    const interruption = new Interruption();
    if (follow && isContainersCommand()) interruption.listen();
    let ended: Job;
    if (stream === "both" || since !== undefined || timestamps) {
      // On demand, because most calls need none of it.
      const { followTimed, readTimed } = await import("../../jobs/timed-logs.ts");
      const { LineWriter } = await import("../output/line-writer.ts");
      const order = { streams: stream === "both" ? LOG_STREAMS : [stream], since, tail };
      const writer = new LineWriter(output.descriptor, { time: timestamps, stream: stream === "both" });
      if (!follow) return (readTimed(context, job, order, writer), 0);
      ended = await followTimed(context, found, order, writer, interruption);
    } else {
      const from = tail === undefined ? 0 : findTail(context, job, stream, tail);
      if (!follow) return (copyLog(context, job, stream, output.descriptor, from), 0);
      ended = await followRun(context, store, [job], [{ stream, descriptor: output.descriptor, from }], {
        ...NO_CONTROL,
        isLeaving: () => Promise.resolve(interruption.signal !== undefined),
      });
    }
    if (interruption.signal !== undefined && isActive(ended.status))
      return (await import("../output/remarks.ts")).leave(context, ended, interruption.signal);
    if (ended.status === "LOST") context.notify(`job ${ended.jobId} is lost (${ended.lostReason})`);
    return 0;
  },
});
