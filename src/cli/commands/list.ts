import { OrchesjobError } from "../../job/errors.ts";
import { listJobs } from "../../jobs/list.ts";
import { OrphanFinder } from "../../jobs/reconcile.ts";
import { defineCommand, flag, optional, short, withDefault } from "../command.ts";
import { formatOption } from "../options/format-option.ts";
import { type Output, printTable } from "../output/output.ts";
import { filterOptions } from "../options/several-jobs.ts";
import { readInstant } from "../options/time.ts";
import { anyText, wholeNumber } from "../options/values.ts";
import { jobView } from "../output/views.ts";

/** Time between two refreshes of --watch, in ms. */
const WATCH_STEP_MS = 1_000;

const CURSOR_HOME = "\u001b[H";
const CLEAR_BELOW = "\u001b[J";
const CLEAR_TO_LINE_END = "\u001b[K";

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
    format: formatOption,
    watch: flag("--watch", "Refresh the table every second, until Ctrl-C"),
  },
  examples: [
    "orchesjob list --status FAILED --status LOST --since 2026-05-01",
    "orchesjob list --run-key-prefix import- --format table",
    "orchesjob list --fleet --status RUNNING --format table",
  ],
  answer: async () => (await import("../answers/job.ts")).JOBS,
  async run({ options, context, output }) {
    const { status, watch, format, runKeyPrefix, limit, fleet } = options;
    const since = await readInstant("--since", options.since);
    const until = await readInstant("--until", options.until);
    const filter = { runKeyPrefix, limit, since, until, statuses: status, labels: options.label };
    // On demand: a list of this host must not load the client of the registry.
    const load = async () =>
      fleet
        ? (await import("../../jobs/list-fleet.ts")).listFleet(context, filter)
        : listJobs(context, filter);
    if (watch) {
      if (output.columns() === undefined) throw new OrchesjobError("usage", "--watch needs a terminal");
      if (format === "json")
        throw new OrchesjobError("usage", "--watch shows a table", "leave out --format json");
      return watchTable(load, output);
    }
    const jobs = await load();
    const finder = new OrphanFinder(context);
    if (format === "table") await printTable(output, jobs);
    else {
      const views = [];
      for (const job of jobs) views.push(jobView(context.home, job, finder.find(job)));
      output.json(views);
    }
    return 0;
  },
});

/** Draws each table over the previous one, and clears line by line, so that nothing flickers. */
async function watchTable(load: () => ReturnType<typeof listJobs>, output: Output): Promise<number> {
  const { tableFor } = await import("../output/table.ts");
  let stopped = false;
  process.on("SIGINT", () => (stopped = true));
  output.text(CURSOR_HOME + CLEAR_BELOW);
  while (!stopped) {
    // A table higher than the terminal would scroll. The last row is left for the cursor.
    const height = Math.max(2, (output.rows() || Number.POSITIVE_INFINITY) - 1);
    const lines = tableFor(output.columns(), await load())
      .trimEnd()
      .split("\n")
      .slice(0, height);
    output.text(CURSOR_HOME + lines.map((line) => `${line}${CLEAR_TO_LINE_END}\n`).join("") + CLEAR_BELOW);
    await Bun.sleep(WATCH_STEP_MS);
  }
  return 0;
}
