import { OrchesjobError } from "../../job/errors.ts";
import { now } from "../../linux/clock.ts";
import { defineCommand, flag, optional, withDefault } from "../command.ts";
import { readInstant } from "../options/time.ts";
import { anyText, completing, oneOf } from "../options/values.ts";

const FORMATS = ["html", "markdown"] as const;

/** In µs. */
const SHORTEST_MICROS = 60_000_000;

/** A file, or `-` for stdout. */
const place = Object.assign(
  completing("file", (text: string) => {
    if (text !== "") return text;
    throw new OrchesjobError("usage", "--output is empty", "name a file, or - for stdout");
  }),
  { takesDash: true },
);

export const report = defineCommand({
  name: "report",
  summary: "Write how the jobs of a period went, to send by mail (HTML) or to read in a terminal (Markdown)",
  options: {
    since: withDefault(
      "--since",
      "DATETIME",
      "Begin of the period, which ends now; 24h: the last 24 hours (default: 7d)",
      anyText(),
      "7d",
    ),
    output: optional(
      "--output",
      "FILE",
      "Write to this file, which is replaced as a whole or not at all; - is stdout (default)",
      place,
    ),
    format: optional(
      "--format",
      "FORMAT",
      "html or markdown (default: html for a file named .html or .htm, otherwise markdown)",
      oneOf("--format", FORMATS),
    ),
    fleet: flag(
      "--fleet",
      "Jobs of all members of the fleet; without it, only those of this state directory",
    ),
  },
  examples: [
    "orchesjob report --since 24h",
    "orchesjob report --since 7d --output report.html",
    `orchesjob report --format html | mail -a "Content-Type: text/html; charset=utf-8" -s "Jobs of this week" anna@example.com`,
  ],
  async run({ options, context, output }) {
    const since = (await readInstant("--since", options.since))!;
    if (since > now() - SHORTEST_MICROS)
      throw new OrchesjobError(
        "usage",
        `--since ${JSON.stringify(options.since)} is not at least a minute ago`,
        "the period ends now: write --since 7d, or a date",
      );
    const file = options.output === "-" ? undefined : options.output;
    const isHtml = (options.format ?? (/\.html?$/i.test(file ?? "") ? "html" : "markdown")) === "html";
    const { makeReport } = await import("../../jobs/report.ts");
    const found = await makeReport(context, since, options.fleet);
    const text = isHtml
      ? (await import("../report/html.ts")).toHtml(found)
      : (await import("../report/markdown.ts")).toMarkdown(found);
    if (file === undefined) output.text(text);
    else (await import("../../linux/text-file.ts")).replaceKept(file, text);
    return 0;
  },
});
