import type { Job } from "../../job/job.ts";
import { defineCommand, optional, repeated, required } from "../command.ts";
import { describeForHook } from "../output/views.ts";

/** Internal: a command that finds overdue hooks starts it, detached. */
export const hook = defineCommand({
  name: "_hook",
  summary: "Run the overdue hooks of finished jobs",
  options: {
    jobIds: repeated("--job-id", "ID", "A job", (text) => text),
    home: required("--home", "DIR", "The state directory", (text) => text),
    debug: optional("--debug", "FILE", "Where to append what it does", (text) => text),
    fileLimit: optional("--file-limit", "N", "The caller's soft limit of open files", BigInt),
  },
  examples: [],
  async run({ options: { jobIds, fileLimit }, context }) {
    const { runOverdueHooks } = await import("../../hooks/runner.ts");
    const describe = (job: Job) => describeForHook(context, job);
    await runOverdueHooks(context, { jobIds, describe, fileLimit });
    return 0;
  },
});
