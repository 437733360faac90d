import type { LastOutput } from "../../state/last-output.ts";
import type { Job } from "../../job/job.ts";
import type { Settle } from "../../worker/adopt.ts";
import { runWorker } from "../../worker/supervise.ts";
import { defineCommand, optional, required } from "../command.ts";
import { describeForHook } from "../output/views.ts";

/** Internal: a start runs it, detached. Other processes recognise a worker by this name and `--job-id`. */
export const worker = defineCommand({
  name: "_worker",
  summary: "Execute an accepted job",
  options: {
    jobId: required("--job-id", "ID", "The job", (text) => text),
    home: required("--home", "DIR", "The state directory", (text) => text),
    debug: optional("--debug", "FILE", "Where to append what it does", (text) => text),
    fileLimit: optional("--file-limit", "N", "The caller's soft limit of open files", BigInt),
    notBefore: optional("--not-before", "MS", "Of a retry: when it may begin, since boot", Number),
    unit: optional("--unit", "NAME", "Of a retry: the scope of the first attempt", (text) => text),
    directory: optional("--directory", "DIR", "Working directory of the command", (text) => text),
  },
  examples: [],
  async run({ options: { jobId, fileLimit, directory, notBefore, unit = null }, context }) {
    const describe = (job: Job, last?: LastOutput) => describeForHook(context, job, last);
    // On demand: needed only if an older backup of the database was put back.
    const settle: Settle = async (...job) => (await import("../../jobs/reconcile.ts")).settle(...job, true);
    const retry = notBefore === undefined ? undefined : { notBefore, unit };
    await runWorker(context, { jobId, settings: { fileLimit, directory }, describe, settle, retry });
    return 0;
  },
});
