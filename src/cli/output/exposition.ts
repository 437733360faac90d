/** The text format of Prometheus, version 0.0.4: what its text file collector and promtool read. */

export interface Sample {
  readonly value: number;
  /** Empty values are left out: to Prometheus they are the same as none. */
  readonly labels?: Readonly<Record<string, string>>;
  /** `_bucket`, `_sum` or `_count`, of a histogram. */
  readonly suffix?: string;
}

export interface Metric {
  readonly name: string;
  readonly type: "gauge" | "histogram";
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

/** One text for all labels, the same for the same labels in the same order. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escape(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
