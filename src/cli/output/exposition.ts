/** The text format of Prometheus, version 0.0.4, which promtool and the textfile collector of node_exporter read. */

export interface Sample {
  readonly value: number;
  /** Labels with empty values are left out: Prometheus treats an empty label as absent. */
  readonly labels?: Readonly<Record<string, string>>;
  /** For a histogram: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: string;
}

export interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter" | "histogram";
  readonly help: string;
  readonly samples: readonly Sample[];
}

export function formatMetrics(metrics: readonly Metric[]): string {
  const lines = metrics.flatMap(({ name, type, help, samples }) => [
    `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(
      ({ suffix = "", labels = {}, value }) => `${name}${suffix}${formatLabels(labels)} ${value}`,
    ),
  ]);
  return lines.map((line) => `${line}\n`).join("");
}

/** `{name="value",…}`; empty if no label has a value. Equal labels in equal order give equal texts. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escape(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
