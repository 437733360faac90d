import { OrchesjobError } from "../../job/errors.ts";
import { checkRunKey } from "../../job/request.ts";
import { OrphanFinder } from "../../runner/reconcile.ts";
import { startJob } from "../../runner/start.ts";
import { defineCommand, flag, required, withDefault } from "../command.ts";
import { parseSeconds } from "../time.ts";
import { startView } from "../views.ts";

export const start = defineCommand({
  name: "start",
  summary: "Start a job, or return the existing one of the run key if it is still active",
  operands: "[--] COMMAND [ARGS...]",
  options: {
    runKey: required("--run-key", "KEY", "Idempotency key: at most one job of it is active", checkRunKey),
    sync: flag("--sync", "Wait until the job is finished; exits 0 whatever its result"),
    startTimeout: withDefault(
      "--start-timeout",
      "SECONDS",
      "Answer at the latest after this time, though the command does not run yet (default: 10; 0: at once)",
      parseSeconds("--start-timeout"),
      10_000,
    ),
  },
  examples: [
    "orchesjob start --run-key nightly-backup -- /usr/local/bin/backup.sh",
    "orchesjob start --run-key import-2026-05-01 --sync -- ./import.sh --day 2026-05-01",
  ],
  async run({ options, operands, context, output }) {
    if (operands.length === 0)
      throw new OrchesjobError(
        "usage",
        "command is required: orchesjob start --run-key KEY -- COMMAND [ARGS...]",
      );
    if (operands[0] === "") throw new OrchesjobError("usage", "the command is empty; name a program");
    const { runKey, sync, startTimeout } = options;
    const { existing, job } = await startJob(context, {
      runKey,
      sync,
      startTimeoutMs: startTimeout,
      command: operands,
    });
    output.json(
      startView(context.home, job, new OrphanFinder(context).find(job), sync ? "sync" : "async", existing),
    );
    return 0;
  },
});
