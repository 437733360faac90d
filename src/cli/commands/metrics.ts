import { OrchesjobError } from "../../job/errors.ts";
import { STATUSES } from "../../job/status.ts";
import { defineCommand, flag, repeated, withDefault } from "../command.ts";
import { sanitizeLines } from "../output/sanitize.ts";
import { labelName, wholeNumber } from "../options/values.ts";

/** Upper bounds of the histogram of durations, in seconds: from a quick check to a night's work. */
const DURATION_BOUNDS = [0.1, 1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400];

/** Each label is a term of the SQL statement, and multiplies the series in Prometheus. */
const MAX_LABELS = 10;

export const metrics = defineCommand({
  name: "metrics",
  summary:
    "Print metrics about all jobs for Prometheus (text format, for the textfile collector of node_exporter)",
  options: {
    label: repeated(
      "--label",
      "NAME",
      "Split the metrics by this label of the jobs, as label_NAME",
      labelName("--label"),
    ),
    limit: withDefault(
      "--limit",
      "N",
      "At most N run keys, active jobs and combinations of label values have series of their own (default: 1000)",
      wholeNumber("--limit", 1),
      1000,
    ),
    noLogBytes: flag(
      "--no-log-bytes",
      "Leave out orchesjob_log_bytes and orchesjob_log_files, for which it reads the size of each log file",
    ),
  },
  examples: [
    "cd /var/lib/prometheus/node-exporter && orchesjob metrics > orchesjob.prom.tmp && mv orchesjob.prom.tmp orchesjob.prom",
    "orchesjob metrics --label team --limit 100",
  ],
  async run({ options, context, output, program }) {
    // On demand: no other command needs them.
    const [{ readMetrics }, { metricLabel, toMetrics }, { formatMetrics }] = await Promise.all([
      import("../../jobs/metrics.ts"),
      import("../output/metrics.ts"),
      import("../output/exposition.ts"),
    ]);
    const labels = [...new Set(options.label)];
    if (labels.length > MAX_LABELS)
      throw new OrchesjobError(
        "usage",
        `--label is given ${labels.length} times`,
        `at most ${MAX_LABELS} are allowed`,
      );
    const names = labels.map(metricLabel);
    const twice = names.findIndex((name, index) => names.indexOf(name) !== index);
    if (twice >= 0) {
      const first = labels[names.indexOf(names[twice]!)];
      throw new OrchesjobError(
        "usage",
        `the labels ${first} and ${labels[twice]} would both be ${names[twice]} for Prometheus`,
        "give one of them",
      );
    }
    const request = {
      durationBounds: DURATION_BOUNDS.map((bound) => bound * 1_000_000),
      labels,
      limit: options.limit,
    };
    const snapshot = await readMetrics(context, request, !options.noLogBytes);
    const { version, commit } = program;
    const found = toMetrics(snapshot, {
      statuses: STATUSES,
      bounds: DURATION_BOUNDS,
      labels,
      limit: options.limit,
      build: { version, commit, bun: Bun.version },
    });
    const ofFleet =
      snapshot.fleet === undefined
        ? []
        : (await import("../output/fleet-metrics.ts")).toFleetMetrics(snapshot.fleet);
    const text = formatMetrics([...found, ...ofFleet]);
    output.text(output.columns() === undefined ? text : sanitizeLines(text));
    return 0;
  },
});
