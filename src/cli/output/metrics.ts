/** Turns a snapshot of the state directory into Prometheus metrics: their names, help texts and labels. */
import type { JobStatus } from "../../job/status.ts";
import type { Usage } from "../../job/usage.ts";
import type { MetricsSnapshot } from "../../jobs/metrics.ts";
import type { JobGroup } from "../../store/store.ts";
import { formatLabels, type Metric, type Sample } from "./exposition.ts";

/** Label value of everything beyond the limit. */
const OTHER = "other";

/** The statuses whose jobs have a known duration. */
const TIMED = ["SUCCEEDED", "FAILED", "CANCELLED"] as const satisfies readonly JobStatus[];

/** What a job has used, by the names of its metrics. */
const USED = [
  { name: "last_cpu_seconds", of: "cpuSeconds", help: "Processor time of" },
  { name: "last_max_rss_bytes", of: "maxRssBytes", help: "The most memory of one process of" },
  { name: "last_io_read_bytes", of: "ioReadBytes", help: "Bytes read from storage by" },
  { name: "last_io_write_bytes", of: "ioWriteBytes", help: "Bytes written to storage by" },
] as const satisfies readonly { name: string; of: keyof Usage; help: string }[];

export interface MetricsStyle {
  readonly statuses: readonly JobStatus[];
  /** Upper bounds of the histogram, in seconds. */
  readonly bounds: readonly number[];
  /** Names of the job labels that become labels of the metrics. */
  readonly labels: readonly string[];
  /** The most series of a kind. */
  readonly limit: number;
  /** Labels of build_info. */
  readonly build: Readonly<Record<string, string>>;
}

/** `team.name` becomes `label_team_name`: the prefix avoids clashes with the labels of Prometheus and of orchesjob. */
export function metricLabel(name: string): string {
  return `label_${name.replace(/[^A-Za-z0-9_]/g, "_")}`;
}

const seconds = (micros: number) => micros / 1_000_000;

export function toMetrics(snapshot: MetricsSnapshot, style: MetricsStyle): readonly Metric[] {
  const { at, active, runKeys, size, logs } = snapshot;
  const names = style.labels.map(metricLabel);
  const labelsOf = (values: readonly string[] | undefined) =>
    Object.fromEntries(names.map((name, index) => [name, values === undefined ? OTHER : values[index]!]));
  const jobLabels = (job: MetricsSnapshot["active"][number]) => ({
    run_key: job.runKey,
    ...labelsOf(style.labels.map((label) => job.labels.get(label) ?? "")),
  });
  const ages = active.map((job) => ({ job, age: Math.max(0, seconds(at - job.startedAt)) }));
  const stalled = active.filter((job) => job.stalledSince !== null);
  // Zeros first, so that the order of the series is always the same.
  const groups = [...zeros(snapshot.groups, style), ...snapshot.groups];
  const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({
    name: `orchesjob_${name}`,
    type: "gauge",
    help,
    samples,
  });
  const single = (name: string, help: string, value: number) => gauge(name, help, [{ value }]);
  return [
    gauge("build_info", "Always 1; the labels say what this orchesjob is.", [
      { labels: style.build, value: 1 },
    ]),
    single("scrape_timestamp_seconds", "When these metrics were collected.", seconds(at)),
    gauge(
      "jobs",
      "Jobs in the history, by status; clean lowers it.",
      sum(
        groups.map(({ status, labelValues, count }) => ({
          labels: { status, ...labelsOf(labelValues) },
          value: count,
        })),
      ),
    ),
    {
      name: "orchesjob_job_duration_seconds",
      type: "histogram",
      help: "How long the finished jobs in the history took, by status, without lost jobs; clean lowers it.",
      samples: sum(groups.flatMap((group) => histogram(group, style.bounds, labelsOf(group.labelValues)))),
    },
    single(
      "oldest_active_job_age_seconds",
      "Time since the start of the oldest active job; 0 if no job is active.",
      ages[0]?.age ?? 0,
    ),
    gauge(
      "active_job_age_seconds",
      "Time since the start of each active job.",
      ages.slice(0, style.limit).map(({ job, age }) => ({ labels: jobLabels(job), value: age })),
    ),
    single(
      "stalled_jobs",
      "Active jobs that have had no output for longer than their --stall-after.",
      stalled.length,
    ),
    single(
      "log_limited_jobs",
      "Active jobs of which a log has reached its --max-log-bytes, so that output is dropped.",
      active.filter((job) => job.logLimitAt !== null).length,
    ),
    gauge(
      "stalled_job_silence_seconds",
      "Time since the last output of each stalled job.",
      stalled.slice(0, style.limit).map((job) => ({
        labels: jobLabels(job),
        value: Math.max(0, seconds(at - job.stalledSince!)),
      })),
    ),
    gauge(
      "last_start_timestamp_seconds",
      "When the newest job of a run key was accepted.",
      runKeys.map(({ newest }) => ({ labels: jobLabels(newest), value: seconds(newest.startedAt) })),
    ),
    gauge(
      "last_success_timestamp_seconds",
      "When the newest job of a run key that succeeded finished; absent for a key without one.",
      runKeys
        .filter(({ lastSuccess }) => lastSuccess !== undefined)
        .map(({ newest, lastSuccess }) => ({ labels: jobLabels(newest), value: seconds(lastSuccess!) })),
    ),
    gauge(
      "last_result_success",
      "Whether the newest finished job of a run key succeeded (1) or not (0).",
      runKeys
        .filter(({ lastResult }) => lastResult !== undefined)
        .map(({ newest, lastResult }) => ({
          labels: jobLabels(newest),
          value: lastResult === "SUCCEEDED" ? 1 : 0,
        })),
    ),
    ...USED.map(({ name, help, of }) =>
      gauge(
        name,
        `${help} the newest finished job of a run key; absent where it is not known.`,
        runKeys.flatMap(({ newest, lastUsage }) => {
          const value = lastUsage?.[of] ?? null;
          return value === null ? [] : [{ labels: jobLabels(newest), value }];
        }),
      ),
    ),
    single("database_bytes", "Size of the database file.", size.bytes),
    single("database_wal_bytes", "Size of the database's write-ahead log.", size.pendingBytes),
    ...(logs === undefined
      ? []
      : [
          single("log_bytes", "Size of all log files.", logs.bytes),
          single("log_files", "Number of log files.", logs.files),
        ]),
    gauge(
      "series_dropped",
      "How many of a kind have no series of their own, because there are more than --limit.",
      [
        { labels: { kind: "active_job" }, value: Math.max(0, ages.length - style.limit) },
        { labels: { kind: "run_key" }, value: snapshot.omittedRunKeys },
        { labels: { kind: "label_values" }, value: snapshot.mergedLabelValues },
      ],
    ),
  ];
}

/** Groups with count 0, so that a status without jobs is 0, not absent. None if there are jobs, and they are grouped by labels. */
function zeros(groups: readonly JobGroup[], { statuses, labels }: MetricsStyle): readonly JobGroup[] {
  if (labels.length > 0 && groups.length > 0) return [];
  return statuses.map((status) => ({
    status,
    labelValues: labels.map(() => ""),
    count: 0,
    durations: [],
    totalDuration: 0,
  }));
}

function histogram(
  { status, durations, totalDuration }: JobGroup,
  bounds: readonly number[],
  labels: Readonly<Record<string, string>>,
): readonly Sample[] {
  if (!TIMED.some((timed) => timed === status)) return [];
  let count = 0;
  const buckets = [...bounds, "+Inf"].map((le, index) => {
    count += durations[index] ?? 0;
    return { suffix: "_bucket", labels: { status, ...labels, le: String(le) }, value: count };
  });
  return [
    ...buckets,
    { suffix: "_sum", labels: { status, ...labels }, value: seconds(totalDuration) },
    { suffix: "_count", labels: { status, ...labels }, value: count },
  ];
}

/** Adds up samples with equal labels: a job's own label may have the value `other`, too. */
function sum(samples: readonly Sample[]): readonly Sample[] {
  const sums = new Map<string, Sample>();
  for (const sample of samples) {
    const key = `${sample.suffix ?? ""}${formatLabels(sample.labels ?? {})}`;
    const known = sums.get(key);
    // A Map keeps the position of the first, so that the buckets of a histogram stay together and in order.
    sums.set(key, known === undefined ? sample : { ...known, value: known.value + sample.value });
  }
  return [...sums.values()];
}
