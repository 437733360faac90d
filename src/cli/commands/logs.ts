import { findJob } from "../../runner/find.ts";
import { copyLog, LOG_STREAMS } from "../../runner/logs.ts";
import { defineCommand, oneOf, withDefault } from "../command.ts";
import { selectorOptions, toSelector } from "../selectors.ts";

export const logs = defineCommand({
  name: "logs",
  summary: "Print what a job has written, byte for byte",
  options: {
    ...selectorOptions,
    stream: withDefault(
      "--stream",
      "STREAM",
      "stdout (default) or stderr",
      oneOf("--stream", LOG_STREAMS),
      "stdout",
    ),
  },
  examples: [
    "orchesjob logs --run-key nightly-backup",
    "orchesjob logs --run-key nightly-backup --stream stderr | tail",
  ],
  async run({ options, context, output }) {
    const { job } = await findJob(context, toSelector(options));
    copyLog(context, job, options.stream, output.descriptor);
    return 0;
  },
});
