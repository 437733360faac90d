import { OrchesjobError } from "../../job/errors.ts";
import { type JobList, listPages, openList } from "../../jobs/list.ts";
import { OrphanFinder } from "../../jobs/orphan-finder.ts";
import { defineCommand, flag, optional, short, withDefault } from "../command.ts";
import { chooseFields, fieldsOption } from "../options/fields-option.ts";
import { chooseFormat, listFormatOption } from "../options/format-option.ts";
import { filterOptions } from "../options/several-jobs.ts";
import { readInstant } from "../options/time.ts";
import { anyText, wholeNumber } from "../options/values.ts";
import { viewsWithOutput } from "../output/views.ts";

export const list = defineCommand({
  name: "list",
  summary: "Print the jobs of all run keys, newest first",
  options: {
    ...filterOptions,
    runKeyPrefix: withDefault(
      "--run-key-prefix",
      "PREFIX",
      "Only run keys that begin with this",
      anyText("run-key"),
      "",
    ),
    since: optional(
      "--since",
      "DATETIME",
      "Only jobs started at this time or later; 2h: two hours ago",
      anyText(),
    ),
    until: optional("--until", "DATETIME", "Only jobs started before this time", anyText()),
    limit: short(
      "-n",
      withDefault("--limit", "N", "At most N jobs (default: 50)", wholeNumber("--limit", 1), 50),
    ),
    fleet: flag(
      "--fleet",
      "Jobs of all members of the fleet; without it, only those of this state directory",
    ),
    format: listFormatOption,
    fields: fieldsOption,
    watch: flag("--watch", "Show a table, the active jobs on top, and refresh it every second, until Ctrl-C"),
  },
  examples: [
    "orchesjob list --status failed --status lost --since 2h",
    "orchesjob list --label team=billing --fields run_key,status,took",
    "orchesjob list --run-key-prefix import- --format csv > jobs.csv",
    "orchesjob list --fleet --status RUNNING",
    "orchesjob list --watch",
  ],
  answer: async () => (await import("../answers/job.ts")).JOBS,
  async run({ options, context, output }) {
    const { status: statuses, label: labels, watch, runKeyPrefix, limit, fleet } = options;
    const since = await readInstant("--since", options.since);
    const until = await readInstant("--until", options.until);
    const filter = { runKeyPrefix, limit, since, until, statuses, labels };
    // On demand: a list of this host must not load the client of the registry.
    const open = async (): Promise<JobList> =>
      fleet ? (await import("../../jobs/list-fleet.ts")).openFleetList(context) : openList(context);
    const isTerminal = output.columns() !== undefined;
    if (watch) {
      if (!isTerminal) throw new OrchesjobError("usage", "--watch needs a terminal");
      const other = options.fields !== undefined ? "--fields" : options.format;
      if (other !== undefined && other !== "table")
        throw new OrchesjobError(
          "usage",
          "--watch shows a table of the usual columns",
          `leave out ${other === "--fields" ? other : `--format ${other}`}`,
        );
      const { watchScreen } = await import("../output/screen.ts");
      const { activeFirst } = await import("../../jobs/active-first.ts");
      await watchScreen(output, context.home, async () => {
        const jobs = await activeFirst(filter, await open());
        return { jobs, isCut: jobs.length >= limit };
      });
      return 0;
    }
    const format = chooseFormat(options.format, isTerminal ? "table" : "json");
    const fields = await chooseFields(options.fields);
    const finder = new OrphanFinder(context);
    if (format === "json" && fields === undefined) {
      output.json(await viewsWithOutput(finder, await (await open())(filter)));
    } else {
      const { isLines, printJobs, printLines } = await import("../output/job-lines.ts");
      if (isLines(format) && !fleet)
        await printLines(output, finder, listPages(context, filter), { format, fields });
      else await printJobs(output, finder, await (await open())(filter), { format, fields });
    }
    await finder.keep();
    return 0;
  },
});
