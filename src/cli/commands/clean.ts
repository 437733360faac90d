import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { cleanJobs } from "../../jobs/clean.ts";
import { timeAgo } from "../../jobs/job-files.ts";
import { defineCommand, flag, optional } from "../command.ts";
import type { CleanFleetView, CleanView } from "../answers/upkeep.ts";
import { openMember } from "../options/open-member.ts";
import { formatOption } from "../options/format-option.ts";
import { readInstant } from "../options/time.ts";
import { byteSize, duration, anyText, wholeNumber } from "../options/values.ts";
import { answer } from "../output/answer.ts";
import { printTable } from "../output/output.ts";

export const clean = defineCommand({
  name: "clean",
  summary:
    "Delete finished jobs and their logs; needs a limit; with several, only jobs that each of them allows",
  options: {
    before: optional(
      "--before",
      "DATETIME",
      "Only jobs that finished before this time (ISO 8601; without an offset: local time; 2h: two hours ago)",
      anyText(),
    ),
    olderThan: optional(
      "--older-than",
      "DURATION",
      "Only jobs that finished longer ago than this, for example 30d; a number without a unit is seconds",
      duration("--older-than"),
    ),
    keep: optional(
      "--keep",
      "N",
      "Keep the N newest finished jobs of each run key",
      wholeNumber("--keep", 0),
    ),
    maxLogBytes: optional(
      "--max-log-bytes",
      "SIZE",
      "Only the oldest jobs with output, until all logs together have at most this size, for example 5G",
      byteSize("--max-log-bytes"),
    ),
    dryRun: flag("--dry-run", "Delete nothing; say on stderr what would be deleted"),
    fleet: flag(
      "--fleet",
      "Delete from the registry of the fleet, jobs of all members; the jobs and logs on their hosts stay",
    ),
    format: formatOption,
  },
  examples: [
    "orchesjob clean --before 2026-01-01",
    "orchesjob clean --older-than 30d --keep 3",
    "orchesjob clean --max-log-bytes 5G --dry-run",
    "orchesjob clean --fleet --older-than 90d --keep 3",
  ],
  answer: async () => (await import("../answers/upkeep.ts")).CLEAN,
  async run({ options, context, output }) {
    const { dryRun, format, olderThan, keep, maxLogBytes } = options;
    const times = [await readInstant("--before", options.before), olderThan && timeAgo(olderThan)].filter(
      (time) => time !== undefined,
    );
    const before = times.length === 0 ? undefined : Math.min(...times);
    if (before === undefined && keep === undefined && maxLogBytes === undefined) {
      throw new OrchesjobError(
        "usage",
        "clean needs a limit: --before DATETIME, --older-than DURATION, --keep N or --max-log-bytes SIZE",
      );
    }
    if (format === "table" && !dryRun) throw new OrchesjobError("usage", "--format table needs --dry-run");
    if (options.fleet) {
      const other = maxLogBytes !== undefined ? "--max-log-bytes" : dryRun ? "--dry-run" : undefined;
      if (other !== undefined)
        throw new OrchesjobError(
          "usage",
          `--fleet cannot be combined with ${other}`,
          "its limits are --before, --older-than and --keep",
        );
      const { cleanRegistry } = await import("../../jobs/clean-fleet.ts");
      const member = await openMember(context);
      const deleted = await cleanRegistry(member, { before, keep }, (count) =>
        context.progress(`deleted ${count} jobs from the registry`),
      );
      const view: CleanFleetView = { deleted };
      answer(output, view, () => `jobs deleted from the registry: ${deleted}`);
      await member.registry.disconnect();
      return 0;
    }
    const doomed: Job[] = [];
    const report = {
      job: (job: Job) =>
        format === "table"
          ? void doomed.push(job)
          : context.notify(`Would delete job ${job.jobId} (${job.runKey}, ${job.status})`),
      orphanedFile: (path: string) => context.notify(`Would delete ${path}, which belongs to no job`),
    };
    const limits = { before, keep, maxLogBytes };
    const result = await cleanJobs(context, limits, dryRun ? report : undefined);
    if (format === "table") {
      await printTable(output, doomed);
      return 0;
    }
    const view: CleanView = {
      deleted: result.deleted,
      errors: result.errors,
      stray_files: result.orphanedFiles,
      ...(result.logBytes === undefined ? {} : { log_bytes: result.logBytes }),
    };
    answer(output, view, () =>
      dryRun ? "nothing was deleted" : `jobs deleted: ${result.deleted}, errors: ${result.errors}`,
    );
    return 0;
  },
});
