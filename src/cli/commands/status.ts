import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { findHistory, findJob } from "../../jobs/find.ts";
import { listActive } from "../../jobs/list.ts";
import { OrphanFinder } from "../../jobs/orphan-finder.ts";
import { defineCommand, flag } from "../command.ts";
import { chooseFields, fieldsOption } from "../options/fields-option.ts";
import { chooseFormat, jobFormatOption } from "../options/format-option.ts";
import { keyOperand, selectorOptions, toRunKey, toSelector } from "../options/selectors.ts";
import { viewsWithOutput } from "../output/views.ts";

export const status = defineCommand({
  name: "status",
  summary: "Print a job, all jobs of a run key, or all active jobs",
  ...keyOperand,
  options: {
    ...selectorOptions,
    all: flag("--all", "All jobs of the run key as an array, newest first"),
    running: flag("--running", "All active jobs as an array, oldest first"),
    format: jobFormatOption,
    fields: fieldsOption,
  },
  examples: [
    "orchesjob status nightly-backup",
    "orchesjob status --run-key nightly-backup --all",
    "orchesjob status nightly-backup#3",
    "orchesjob status nightly-backup --all --fields attempt_no,status,took --format csv",
    "orchesjob status --running --format table",
  ],
  answer: async () => (await import("../answers/job.ts")).STATUS,
  async run({ options, operands, context, output }) {
    const format = chooseFormat(options.format, "json");
    const fields = await chooseFields(options.fields);
    const finder = new OrphanFinder(context);
    const many = async (): Promise<readonly Job[] | undefined> => {
      const { runKey, jobId, attempt, all, running } = options;
      const isNamed = runKey !== undefined || operands.length > 0;
      if (running) {
        if (all || isNamed || jobId !== undefined || attempt !== undefined)
          throw new OrchesjobError(
            "usage",
            "--running selects all active jobs",
            "leave out --all, and what names one job",
          );
        return listActive(context);
      }
      if (!all) return undefined;
      if (!isNamed || jobId !== undefined || attempt !== undefined)
        throw new OrchesjobError("usage", "--all needs --run-key KEY, and nothing else that names a job");
      return findHistory(context, toRunKey(options, operands));
    };
    const jobs = await many();
    const one = jobs === undefined ? (await findJob(context, toSelector(options, operands))).job : undefined;
    if (format === "json" && fields === undefined) {
      const views = await viewsWithOutput(finder, jobs ?? [one!]);
      output.json(one === undefined ? views : views[0]);
    } else {
      const { printJobs } = await import("../output/job-lines.ts");
      await printJobs(output, finder, jobs ?? [one!], { format, fields }, one !== undefined);
    }
    await finder.keep();
    return 0;
  },
});
