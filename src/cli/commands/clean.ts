import type { Job } from "../../job/job.ts";
import { OrchesjobError } from "../../job/errors.ts";
import { cleanJobs } from "../../runner/clean.ts";
import { defineCommand, flag, required } from "../command.ts";
import { formatOption } from "../format-option.ts";
import { instant } from "../values.ts";

export const clean = defineCommand({
  name: "clean",
  summary: "Delete finished jobs and their logs",
  options: {
    before: required(
      "--before",
      "DATETIME",
      "Jobs that finished before this time (ISO 8601; without an offset: local time)",
      instant("--before"),
    ),
    dryRun: flag("--dry-run", "Only say on stderr what would be deleted"),
    format: formatOption,
  },
  examples: [
    "orchesjob clean --before 2026-01-01",
    `orchesjob clean --before "$(date -d '7 days ago' -Iseconds)" --dry-run`,
  ],
  async run({ options: { before, dryRun, format }, context, output }) {
    if (format === "table" && !dryRun)
      throw new OrchesjobError("usage", "--format table goes with --dry-run");
    if (!dryRun) {
      output.json(await cleanJobs(context, { before }));
      return 0;
    }
    const doomed: Job[] = [];
    const say = (job: Job) => context.notify(`Would delete job ${job.jobId} (${job.runKey}, ${job.status})`);
    const result = await cleanJobs(context, {
      before,
      dryRun: format === "table" ? (job) => void doomed.push(job) : say,
    });
    if (format === "table") output.table(doomed);
    else output.json(result);
    return 0;
  },
});
