/** The words and numbers of a report, the same in each format. */
import { formatDuration } from "../../job/duration.ts";
import type { Instant, Job } from "../../job/job.ts";
import { isSlow } from "../../job/usual.ts";
import type { FailureReport, Period, Report } from "../../jobs/report.ts";
import { formatInstant } from "../options/time.ts";
import { formatMicros, printableCommand } from "../output/table.ts";

/** A cell that stands for nothing. */
const NOTHING = "-";

export interface TextTable {
  readonly headings: readonly string[];
  /** Which columns are numbers, and stand at the right. */
  readonly isNumber: readonly boolean[];
  readonly rows: readonly (readonly string[])[];
}

/** `2026-05-01 02:00 +09:00`. */
export function formatTime(instant: Instant): string {
  const text = formatInstant(instant);
  return `${text.slice(0, 10)} ${text.slice(11, 16)} ${text.slice(-6)}`;
}

export function title({ host, isFleet }: Report): string {
  return isFleet ? `Jobs of the fleet, reported by ${host}` : `Jobs on ${host}`;
}

export function subtitle({ since, at, home }: Report): string {
  return `${formatTime(since)} to ${formatTime(at)}, state directory ${home}`;
}

export const percent = (rate: number | null): string => {
  if (rate === null) return NOTHING;
  // 99.97 % is not 100 %.
  const rounded = Math.floor(rate * 1000) / 10;
  return `${rounded === 100 ? 100 : rounded.toFixed(1)} %`;
};

export function overview({ period, before, active }: Report): TextTable {
  const row = (what: string, value: (of: Period) => string) => [
    what,
    value(period),
    before === undefined ? NOTHING : value(before),
  ];
  return {
    headings: ["", "This period", "The period before"],
    isNumber: [false, true, true],
    rows: [
      ["Active now", String(active.length), ""],
      row("Ended", ({ ended }) => String(ended)),
      row("Succeeded", ({ succeeded, successRate }) => `${succeeded} (${percent(successRate)})`),
      row("Failed", ({ failed }) => String(failed)),
      row("Lost", ({ lost }) => String(lost)),
      row("Cancelled", ({ cancelled }) => String(cancelled)),
      row("Median duration", ({ durations }) => formatMicros(durations.median)),
      row("95 % took at most", ({ durations }) => formatMicros(durations.p95)),
      row("Longest", ({ durations }) => formatMicros(durations.longest)),
    ],
  };
}

export function activeTable({ active, at }: Report): TextTable {
  return {
    headings: ["Run key", "Host", "Status", "For", "Usual", "95 %", "Quiet for", "Last line"],
    isNumber: [false, false, false, true, true, true, true, false],
    rows: active.map(({ job, last, usual }) => {
      const duration = Math.max(0, at - job.startedAt);
      const isStalled = job.status === "RUNNING" && job.stalledSince !== null;
      return [
        ...[job.runKey, hostOf(job), isStalled ? "STALLED" : job.status],
        `${formatDuration(duration / 1000)}${isSlow(duration, usual) ? " (longer than usual)" : ""}`,
        ...[formatMicros(usual?.median), formatMicros(usual?.p95)],
        ...[last === undefined ? NOTHING : formatDuration(last.quietMs), last?.lastLine ?? ""],
      ];
    }),
  };
}

export function keyTable({ keys }: Report): TextTable {
  return {
    headings: [
      "Run key",
      "Runs",
      "Runs before",
      "Not succeeded",
      "Median",
      "Median before",
      "95 %",
      "Longest",
      "Usual",
      "Usual 95 %",
    ],
    isNumber: [false, true, true, false, true, true, true, true, true, true],
    rows: keys.map(({ runKey, period, before, usual }) => [
      ...[
        runKey,
        String(period.ended),
        before === undefined ? NOTHING : String(before.ended),
        notSucceeded(period),
      ],
      ...[formatMicros(period.durations.median), formatMicros(before?.durations.median)],
      ...[formatMicros(period.durations.p95), formatMicros(period.durations.longest)],
      ...[formatMicros(usual?.median), formatMicros(usual?.p95)],
    ]),
  };
}

/** What stands in place of the table if no key is silent. */
export const noneSilent = ({ before }: Report): string =>
  before === undefined
    ? "The period before was not read."
    : "Every run key that ran at least twice in the period before ran in this one, too.";

export function silentTable({ silent }: Report): TextTable {
  return {
    headings: ["Run key", "Runs before", "The last one ended"],
    isNumber: [false, true, false],
    rows: silent.map(({ runKey, before, lastEnd }) => [runKey, String(before), formatTime(lastEnd)]),
  };
}

/** `2 failed, 1 lost`. */
function notSucceeded({ failed, lost, cancelled }: Period): string {
  const counts = [
    [failed, "failed"],
    [lost, "lost"],
    [cancelled, "cancelled"],
  ] as const;
  const told = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return told.length === 0 ? NOTHING : told.join(", ");
}

/** How often a key has failed, when, where and why. */
export function describeFailure({ job, count }: FailureReport): string {
  const times = count === 1 ? "Once" : `${count} times, the last one`;
  const end = job.finishedAt === null ? "" : ` at ${formatTime(job.finishedAt)}`;
  return `${times}${end} on ${hostOf(job)}: ${reasonOf(job)}. Job ${job.jobId}`;
}

export const commandOf = ({ job }: FailureReport): string => printableCommand(job.command);

export function linesRemark({ lines }: FailureReport): string | undefined {
  if (lines === undefined) return "Its stderr cannot be read here.";
  return lines.length === 0 ? "It has written nothing to stderr." : undefined;
}

function reasonOf({ status, error, signal, exitCode, lostReason }: Job): string {
  if (status === "LOST") return `LOST (${lostReason ?? "unknown"})`;
  return `FAILED, ${error ?? signal ?? `exit code ${exitCode}`}`;
}

const hostOf = (job: Job): string => job.elsewhere?.host ?? job.origin?.host ?? NOTHING;

/** What a reader must know to judge the numbers. */
export function remarks({ isFleet, cutAt, omittedFailures }: Report): readonly string[] {
  return [
    "A job belongs to the period in which it ended. Durations are those of the jobs that succeeded. Usual are the jobs that succeeded among the newest 100 of a key. Jobs that were deleted (orchesjob clean) do not count.",
    ...(isFleet ? ["What is usual comes from the history of the reporting host alone."] : []),
    ...(cutAt === undefined
      ? []
      : [
          `There were too many jobs to read: figures begin at ${formatTime(cutAt)}, and the period before is left out.`,
        ]),
    ...(omittedFailures === 0 ? [] : [`${omittedFailures} more run keys had failures.`]),
  ];
}
