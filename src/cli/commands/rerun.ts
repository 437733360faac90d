import { OrphanFinder } from "../../runner/reconcile.ts";
import { rerunJob } from "../../runner/rerun.ts";
import { defineCommand, flag, optional } from "../command.ts";
import { selectorOptions, toSelector } from "../selectors.ts";
import { hookOptions, toHookOrder } from "../start-options.ts";
import { shortText } from "../values.ts";
import { startView } from "../views.ts";

const START_TIMEOUT_MS = 10_000;

export const rerun = defineCommand({
  name: "rerun",
  summary: "Start a finished job's command once more, in its directory and with its options",
  options: {
    ...selectorOptions,
    sync: flag("--sync", "Wait until the job is finished; exits 0 whatever its result"),
    reason: optional("--reason", "TEXT", "Why, for those who look at the job later", shortText("--reason")),
    ...hookOptions,
  },
  examples: [
    `orchesjob rerun --run-key nightly-backup --reason "disk was full"`,
    "orchesjob rerun --job-id ID --sync",
  ],
  async run({ options, context, output }) {
    const patience = options.sync
      ? ({ until: "finished" } as const)
      : ({ until: "launched", timeoutMs: START_TIMEOUT_MS } as const);
    const result = await rerunJob(
      context,
      toSelector(options),
      options.reason ?? null,
      patience,
      toHookOrder(options),
    );
    output.json(
      startView(
        context.home,
        result,
        new OrphanFinder(context).find(result.job),
        options.sync ? "sync" : "async",
      ),
    );
    return 0;
  },
});
