import { passedOnExitCode, SIGNAL_BASE } from "../../job/exit-status.ts";
import { notWhole } from "../../jobs/follow-run.ts";
import { OrphanFinder, reportOrphans } from "../../jobs/orphan-finder.ts";
import { runJob } from "../../jobs/run.ts";
import { ERRNO, SystemError } from "../../linux/ffi/call.ts";
import { SIGPIPE, SIGTERM } from "../../linux/signals.ts";
import { defineCommand } from "../command.ts";
import { startOptions, toStartRequest } from "../options/start-options.ts";
import { explainEnd, reportLeft } from "../output/remarks.ts";

export const run = defineCommand({
  name: "run",
  summary:
    "Run a command as a job, show its output and exit with its code; if a job of the run key is active, attach to it",
  operands: "[--] COMMAND [ARGS...]",
  options: startOptions,
  examples: [
    "orchesjob run --run-key nightly-backup -- /usr/local/bin/backup.sh",
    "orchesjob run --run-key report --request-id 2026-05-01 --timeout 2h -- ./report.sh > report.txt",
  ],
  passesExitCode: () => true,
  async run({ options, operands, context, output }) {
    const request = toStartRequest(options, operands, "run");
    try {
      const { job, detachedBy, hasKilled, isIncomplete } = await runJob(context, request, {
        stdout: output.descriptor,
        stderr: context.stderr,
      });
      if (detachedBy !== undefined) {
        reportLeft(context, job);
        return SIGNAL_BASE + detachedBy;
      }
      const remark = explainEnd(job);
      if (remark !== undefined) context.notify(remark);
      await reportOrphans(context, job, new OrphanFinder(context).find(job));
      if (isIncomplete) throw notWhole(job);
      const code = passedOnExitCode(job);
      // Whoever cancels the job of a unit does not want `Restart=on-failure` to start it again, whatever its exit code is.
      const wasCancelled = job.status === "CANCELLED" && !hasKilled;
      if (wasCancelled || job.signal !== null)
        (await import("../../jobs/run-in-unit.ts")).endAsCommand(wasCancelled ? SIGTERM : code - SIGNAL_BASE);
      return code;
    } catch (error) {
      // The reader has closed the pipe. The job goes on, as if a signal had ended this process.
      if (error instanceof SystemError && error.errno === ERRNO.EPIPE) return SIGNAL_BASE + SIGPIPE;
      throw error;
    }
  },
});
