import { isActive } from "../../job/status.ts";
import { Interruption } from "../../linux/signals.ts";
import { OrphanFinder, reportOrphans } from "../../jobs/orphan-finder.ts";
import { OUTPUT_MODES } from "../../job/output.ts";
import { rerunJob } from "../../jobs/rerun.ts";
import { SCOPE_MODES } from "../../job/scope.ts";
import type { RerunView } from "../answers/job.ts";
import { answer, describeStart } from "../output/answer.ts";
import { defineCommand, flag, optional, repeated } from "../command.ts";
import { leave, reportFailedLaunch } from "../output/remarks.ts";
import { keyOperand, selectorOptions, toSelector } from "../options/selectors.ts";
import {
  checkScope,
  hookOptions,
  partitionOption,
  startTimeoutOption,
  toHooks,
} from "../options/start-options.ts";
import { oneOf, property, shortText } from "../options/values.ts";
import { startView } from "../output/views.ts";

export const rerun = defineCommand({
  name: "rerun",
  summary: "Run a finished job's command again, in its directory and with its options",
  ...keyOperand,
  options: {
    ...selectorOptions,
    sync: flag("--sync", "Wait until the new job has ended; exits 0 whatever its result"),
    reason: optional("--reason", "TEXT", "Why, for anyone who looks at the job later", shortText("--reason")),
    ...startTimeoutOption,
    scope: optional(
      "--scope",
      "MODE",
      "As for start (default: that of the job)",
      oneOf("--scope", SCOPE_MODES),
    ),
    property: repeated(
      "--property",
      "NAME=VALUE",
      "As for start; replaces all properties of the job",
      property("--property"),
    ),
    ...hookOptions,
    ...partitionOption,
    output: optional(
      "--output",
      "MODE",
      "As for start (default: that of the job)",
      oneOf("--output", OUTPUT_MODES),
    ),
  },
  examples: [`orchesjob rerun nightly-backup --reason "disk was full"`, "orchesjob rerun --job-id ID --sync"],
  answer: async () => (await import("../answers/job.ts")).RERUN,
  async run({ options, operands, context, output }) {
    const interruption = options.sync ? new Interruption() : undefined;
    const waitMode =
      interruption === undefined
        ? ({ until: "launched", timeoutMs: options.startTimeout } as const)
        : ({ until: "finished", interruption } as const);
    const { scope, property: properties } = options;
    checkScope(scope, properties);
    const result = await rerunJob(
      context,
      toSelector(options, operands),
      options.reason ?? null,
      { scope, properties },
      waitMode,
      toHooks(options),
      options.output,
      options.onPartition,
    );
    if (interruption?.signal !== undefined && isActive(result.job.status))
      return leave(context, result.job, interruption.signal);
    reportFailedLaunch(context, result.job);
    const orphans = new OrphanFinder(context).find(result.job);
    const started = startView(context.home, result, orphans, options.sync ? "sync" : "async", false);
    const view: RerunView = { ...started, rerun: true };
    answer(output, view, () => describeStart(result));
    if (options.sync) await reportOrphans(context, result.job, orphans);
    return 0;
  },
});
