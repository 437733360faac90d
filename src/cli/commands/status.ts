import { OrchesjobError } from "../../job/errors.ts";
import { findHistory, findJob } from "../../runner/find.ts";
import { OrphanFinder } from "../../runner/reconcile.ts";
import { defineCommand, flag } from "../command.ts";
import { selectorOptions, toSelector } from "../selectors.ts";
import { jobView } from "../views.ts";

export const status = defineCommand({
  name: "status",
  summary: "Print what is known of a job, or of all jobs of a run key",
  options: {
    ...selectorOptions,
    all: flag("--all", "All jobs of the run key as an array, newest first"),
  },
  examples: ["orchesjob status --run-key nightly-backup", "orchesjob status --run-key nightly-backup --all"],
  async run({ options, context, output }) {
    const selector = toSelector(options);
    const finder = new OrphanFinder(context);
    if (!options.all) {
      const { job } = await findJob(context, selector);
      output.json(jobView(context.home, job, finder.find(job)));
      return 0;
    }
    if (!("runKey" in selector)) throw new OrchesjobError("usage", "--all needs --run-key KEY");
    const jobs = await findHistory(context, selector.runKey);
    output.json(jobs.map((job) => jobView(context.home, job, finder.find(job))));
    return 0;
  },
});
