import { OrchesjobError } from "../../job/errors.ts";
import { checkRunKey, type JobSelector } from "../../job/request.ts";
import type { Job } from "../../job/job.ts";
import { cleanJobs, type CleanResult } from "../../jobs/clean.ts";
import { timeAgo } from "../../jobs/job-files.ts";
import type { Context } from "../../state/context.ts";
import type { CleanedJob } from "../../store/store.ts";
import { defineCommand, flag, optional, repeated, short } from "../command.ts";
import type { CleanFleetView, CleanView } from "../answers/upkeep.ts";
import { openMember } from "../options/open-member.ts";
import { chooseFormat, formatOption } from "../options/format-option.ts";
import { keyOperands } from "../options/selectors.ts";
import { filterOptions } from "../options/several-jobs.ts";
import { formatInstant, readInstant } from "../options/time.ts";
import { byteSize, duration, anyText, runKeyValue, wholeNumber } from "../options/values.ts";
import { answer } from "../output/answer.ts";
import { type Output, printTable } from "../output/output.ts";

export const clean = defineCommand({
  name: "clean",
  summary:
    "Delete finished jobs and their logs; needs a limit; with several, only jobs that each of them allows",
  ...keyOperands,
  options: {
    runKey: short(
      "-k",
      repeated("--run-key", "KEY", "Only jobs of this run key; it may also be a word", runKeyValue),
    ),
    jobId: repeated("--job-id", "ID", "Only the job with this id; several: one of them", anyText("job-id")),
    ...filterOptions,
    before: optional(
      "--before",
      "DATETIME",
      "Only jobs that finished before this time (ISO 8601; without an offset: local time; 2h: two hours ago)",
      anyText(),
    ),
    after: optional(
      "--after",
      "DATETIME",
      "Only jobs that finished at this time or later; with --before: from then until then",
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
    all: flag("--all", "All finished jobs, apart from what the other limits keep"),
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
    "orchesjob clean import-2026-05-01",
    "orchesjob clean --label batch=n1 --status failed --dry-run",
    "orchesjob clean --fleet --older-than 90d --keep 3",
  ],
  answer: async () => (await import("../answers/upkeep.ts")).CLEAN,
  async run({ options, operands, context, output }) {
    const { dryRun, olderThan, keep, maxLogBytes } = options;
    const isTable = dryRun && chooseFormat(options.format, "json") === "table";
    const times = [await readInstant("--before", options.before), olderThan && timeAgo(olderThan)].filter(
      (time) => time !== undefined,
    );
    const since = await readInstant("--after", options.after);
    const named: readonly JobSelector[] = [
      ...operands.map((word) => ({ word: checkRunKey(word) })),
      ...options.runKey.map((runKey) => ({ runKey })),
    ];
    const given = {
      "--job-id": options.jobId.length > 0,
      "a run key": operands.length + options.runKey.length > 0,
      "--status": options.status.length > 0,
      "--label": options.label.size > 0,
      "--after": since !== undefined,
      "--before": options.before !== undefined,
      "--older-than": olderThan !== undefined,
      "--keep": keep !== undefined,
      "--max-log-bytes": maxLogBytes !== undefined,
      "--all": options.all,
    };
    checkLimits(
      options,
      new Set(Object.entries(given).flatMap(([name, isGiven]) => (isGiven ? [name] : []))),
    );
    const before =
      times.length === 0 ? (options.all ? Number.MAX_SAFE_INTEGER : undefined) : Math.min(...times);
    if (options.fleet) return cleanFleet(context, output, { before, keep, dryRun });
    const doomed: Job[] = [];
    const report = {
      job: (job: Job) => (isTable ? void doomed.push(job) : context.notify(wouldDelete(job))),
      orphanedFile: (path: string) => context.notify(`Would delete ${path}, which belongs to no job`),
    };
    const selection = {
      named,
      jobIds: options.jobId,
      since,
      statuses: options.status,
      labels: options.label,
    };
    const result = await cleanJobs(
      context,
      { before, keep, maxLogBytes, selection },
      dryRun ? report : undefined,
    );
    if (isTable) {
      await printTable(output, doomed);
      return 0;
    }
    answer(output, cleanView(result, dryRun), () =>
      dryRun ? "nothing was deleted" : `jobs deleted: ${result.deleted}, errors: ${result.errors}`,
    );
    return 0;
  },
});

interface Modes {
  readonly dryRun: boolean;
  readonly fleet: boolean;
  readonly format: "json" | "table" | undefined;
}

const ONLY_HERE = ["--job-id", "a run key", "--status", "--label", "--after", "--max-log-bytes"];

/** Throws `usage` if there is no limit, or one that does not go with --fleet. */
function checkLimits({ dryRun, fleet, format }: Modes, limits: ReadonlySet<string>): void {
  if (limits.size === 0)
    throw new OrchesjobError(
      "usage",
      "clean needs a limit: --before DATETIME, --older-than DURATION, --keep N or --max-log-bytes SIZE",
      "or what to delete: KEY, --job-id ID, --label NAME=VALUE, --status STATUS, --after DATETIME or --all",
    );
  if (format === "table" && !dryRun) throw new OrchesjobError("usage", "--format table needs --dry-run");
  if (!fleet) return;
  const refuse = (other: string, hint: string) => {
    throw new OrchesjobError("usage", `--fleet cannot be combined with ${other}`, hint);
  };
  const onlyHere = ONLY_HERE.find((name) => limits.has(name));
  if (onlyHere !== undefined) refuse(onlyHere, "its limits are --before, --older-than, --keep and --all");
  if (format === "table") refuse("--format table", "it says on stderr what it would delete");
}

function wouldDelete({ jobId, runKey, status }: Pick<CleanedJob, "jobId" | "runKey" | "status">): string {
  return `Would delete job ${jobId} (${runKey}, ${status})`;
}

function cleanView(result: CleanResult, dryRun: boolean): CleanView {
  return {
    deleted: result.deleted,
    errors: result.errors,
    stray_files: result.orphanedFiles,
    ...(result.logBytes === undefined ? {} : { log_bytes: result.logBytes }),
    kept_unpublished: result.keptUnpublished,
    dry_run: dryRun,
    items: result.items.map(itemView),
    items_omitted: Math.max(0, result.deleted - result.items.length),
  };
}

/** As the Python 1.1 has it: the time also as seconds since 1970. */
function itemView({ jobId, runKey, status, endedAt }: CleanedJob): CleanView["items"][number] {
  return {
    job_id: jobId,
    run_key: runKey,
    status,
    selected_at: Math.floor(endedAt / 1_000_000),
    selected_at_iso: formatInstant(endedAt),
  };
}

async function cleanFleet(
  context: Context,
  output: Output,
  {
    before,
    keep,
    dryRun,
  }: { readonly before: number | undefined; readonly keep: number | undefined; readonly dryRun: boolean },
): Promise<number> {
  const { cleanRegistry } = await import("../../jobs/clean-fleet.ts");
  const member = await openMember(context);
  const deleted = await cleanRegistry(
    member,
    { before, keep },
    (count) => context.progress(`deleted ${count} jobs from the registry`),
    dryRun ? (job) => context.notify(wouldDelete(job)) : undefined,
  );
  const view: CleanFleetView = { deleted, dry_run: dryRun };
  answer(output, view, () => (dryRun ? "nothing was deleted" : `jobs deleted from the registry: ${deleted}`));
  await member.registry.disconnect();
  return 0;
}
