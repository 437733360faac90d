import { cleanJobs } from "../../runner/clean.ts";
import { defineCommand, flag, required } from "../command.ts";
import { instant } from "../values.ts";

export const clean = defineCommand({
  name: "clean",
  summary: "Delete finished jobs and their logs",
  options: {
    before: required(
      "--before",
      "DATETIME",
      "Jobs that finished before this time (ISO 8601; without an offset: local time)",
      instant("--before"),
    ),
    dryRun: flag("--dry-run", "Only say on stderr what would be deleted"),
  },
  examples: [
    "orchesjob clean --before 2026-01-01",
    `orchesjob clean --before "$(date -d '7 days ago' -Iseconds)" --dry-run`,
  ],
  async run({ options, context, output }) {
    output.json(await cleanJobs(context, options.before, options.dryRun));
    return 0;
  },
});
