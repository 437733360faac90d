import { activeFirst } from "../../jobs/active-first.ts";
import { OrphanFinder } from "../../jobs/orphan-finder.ts";
import { openList } from "../../jobs/list.ts";
import { defineCommand, flag, optional, short } from "../command.ts";
import { chooseFields, fieldsOption } from "../options/fields-option.ts";
import { chooseFormat, listFormatOption } from "../options/format-option.ts";
import { filterOptions } from "../options/several-jobs.ts";
import { wholeNumber } from "../options/values.ts";
import { printJobs } from "../output/job-lines.ts";
import { printScreen } from "../output/screen.ts";
import { asText, tellingLines } from "../output/table.ts";

/** How many jobs are shown if nothing says how many there is room for. */
const USUAL_LIMIT = 20;

export const ps = defineCommand({
  name: "ps",
  summary: "Print the active jobs, then those that ended last, on one screen",
  options: {
    label: filterOptions.label,
    limit: short(
      "-n",
      optional(
        "--limit",
        "N",
        "All active jobs, then ended ones until there are N (default: as many as the terminal has room for; 20 elsewhere)",
        wholeNumber("--limit", 1),
      ),
    ),
    fleet: flag(
      "--fleet",
      "Jobs of all members of the fleet; without it, only those of this state directory",
    ),
    format: listFormatOption,
    fields: fieldsOption,
  },
  examples: [
    "orchesjob ps",
    "orchesjob ps --label team=billing --fields run_key,status,took,command",
    "orchesjob ps --fleet",
  ],
  answer: async () => (await import("../answers/job.ts")).JOBS,
  async run({ options, context, output }) {
    const rows = output.rows();
    const isTerminal = output.columns() !== undefined;
    const format = chooseFormat(options.format, isTerminal ? "table" : "json");
    const fields = await chooseFields(options.fields);
    const limit = options.limit ?? (rows ? Math.max(1, rows - 2) : USUAL_LIMIT);
    const jobs = await activeFirst(
      {
        labels: options.label,
        limit,
        statuses: [],
        runKeyPrefix: "",
        since: undefined,
        until: undefined,
        order: "ended",
      },
      options.fleet
        ? await (await import("../../jobs/list-fleet.ts")).openFleetList(context)
        : await openList(context),
    );
    if (format === "table" && fields === undefined) {
      // What was asked for with a number is printed whole.
      if (options.limit === undefined) printScreen(output, context.home, { jobs, isCut: false });
      else output.text(asText(tellingLines(output.columns(), jobs, context.home)));
    } else {
      const finder = new OrphanFinder(context);
      await printJobs(output, finder, jobs, { format, fields });
      await finder.keep();
    }
    return 0;
  },
});
