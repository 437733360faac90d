import { OrchesjobError } from "../../job/errors.ts";
import { passedOnExitCode } from "../../job/exit-status.ts";
import { isActive } from "../../job/status.ts";
import { Interruption } from "../../linux/signals.ts";
import { OrphanFinder, reportOrphans } from "../../jobs/orphan-finder.ts";
import { startJob } from "../../jobs/start.ts";
import { answer, describeStart } from "../output/answer.ts";
import { defineCommand, flag } from "../command.ts";
import { leave, reportFailedLaunch } from "../output/remarks.ts";
import { startOptions, startTimeoutOption, toStartRequest } from "../options/start-options.ts";
import { startView } from "../output/views.ts";

export const start = defineCommand({
  name: "start",
  summary: "Start a job in the background; if a job of the run key is active, return that one",
  operands: "[--] COMMAND [ARGS...]",
  options: {
    ...startOptions,
    sync: flag("--sync", "Wait until the job has ended; exits 0 whatever its result"),
    exitStatus: flag(
      "--exit-status",
      "With --sync: exit with the code of the job; 124: timed out, 125: lost, or orchesjob failed; 126, 127 and 128+N as in a shell",
    ),
    ...startTimeoutOption,
  },
  examples: [
    "orchesjob start --run-key nightly-backup -- /usr/local/bin/backup.sh",
    "orchesjob start --run-key sync --retries 3 --retry-delay 1m --retry-backoff 2 --retry-on 75,timeout -- ./sync.sh",
    "orchesjob start --run-key crawl --max-log-bytes 100M --nice 10 --io-class idle -- ./crawl.sh",
    "orchesjob start --run-key import --request-id 2026-05-01 --sync -- ./import.sh --day 2026-05-01",
  ],
  passesExitCode: (options) => options.exitStatus,
  answer: async () => (await import("../answers/job.ts")).START,
  async run({ options, operands, context, output }) {
    const request = toStartRequest(options, operands, "start");
    const { sync, exitStatus, startTimeout } = options;
    if (exitStatus && !sync)
      throw new OrchesjobError("usage", "--exit-status needs --sync: a job has no exit code before it ends");
    const interruption = sync ? new Interruption() : undefined;
    const waitMode =
      interruption === undefined
        ? ({ until: "launched", timeoutMs: startTimeout } as const)
        : ({ until: "finished", interruption } as const);
    const result = await startJob(context, request, waitMode);
    if (interruption?.signal !== undefined && isActive(result.job.status))
      return leave(context, result.job, interruption.signal);
    reportFailedLaunch(context, result.job);
    const finder = new OrphanFinder(context);
    const orphans = finder.find(result.job);
    await finder.keep();
    const view = startView(context.home, result, orphans, sync ? "sync" : "async", options.strict);
    answer(output, view, () => describeStart(result));
    if (sync) await reportOrphans(context, result.job, orphans);
    return exitStatus ? passedOnExitCode(result.job) : 0;
  },
});
