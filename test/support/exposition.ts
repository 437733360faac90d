/** A strict parser for Prometheus' text format, so that no test depends on a tool. It throws on anything unusual. */

export interface Exposition {
  /** By the metric's name. */
  readonly metrics: Readonly<Record<string, { readonly type: string; readonly help: string }>>;
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** Including `_bucket`, `_sum` or `_count`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

export function parseExposition(text: string): Exposition {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const metrics: Record<string, { type: string; help: string }> = {};
  const samples: Sample[] = [];
  const series = new Set<string>();
  let current = "";
  const lines = text.slice(0, -1).split("\n");
  for (const line of lines) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment;
      if (kind === "HELP") {
        if (metrics[name!] !== undefined) throw new Error(`${name} comes twice`);
        metrics[name!] = { type: "", help: rest! };
        current = name!;
      } else {
        if (name !== current) throw new Error(`TYPE of ${name} follows something else`);
        metrics[name!]!.type = rest!;
      }
      continue;
    }
    const sample = parseSample(line);
    const base =
      metrics[current]?.type === "histogram" ? sample.name.replace(/_(bucket|sum|count)$/, "") : sample.name;
    if (base !== current) throw new Error(`not among its like: ${line}`);
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (series.has(key)) throw new Error(`comes twice: ${line}`);
    series.add(key);
    samples.push(sample);
  }
  return { metrics, samples };
}

function parseSample(line: string): Sample {
  const begin = /^([^{ ]+)(\{?)/.exec(line)!;
  const name = begin[1]!;
  if (!NAME.test(name)) throw new Error(`no name: ${line}`);
  let rest = line.slice(begin[0].length);
  const labels: Record<string, string> = {};
  if (begin[2] === "{") {
    for (;;) {
      const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"([,}])/.exec(rest);
      if (label === null) throw new Error(`no label: ${line}`);
      if (label[1]! in labels) throw new Error(`a label comes twice: ${line}`);
      labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, character: string) =>
        character === "n" ? "\n" : character,
      );
      rest = rest.slice(label[0].length);
      if (label[3] === "}") break;
    }
  }
  const value = /^ (\S+)$/.exec(rest);
  if (value === null || Number.isNaN(Number(value[1]))) throw new Error(`no value: ${line}`);
  return { name, labels, value: Number(value[1]) };
}

/** The value of the one sample with this name and exactly these labels; undefined if there is none. */
export function valueOf(
  { samples }: Exposition,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  return samples.find((sample) => sample.name === name && Bun.deepEquals(sample.labels, labels))?.value;
}
