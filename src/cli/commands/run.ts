import { passedOnExitCode, SIGNAL_BASE } from "../../job/exit-status.ts";
import type { Job } from "../../job/job.ts";
import { ERRNO, SystemError } from "../../os/libc.ts";
import { SIGPIPE, SIGTERM } from "../../os/signals.ts";
import { OrphanFinder, tellOrphans } from "../../runner/reconcile.ts";
import { runJob } from "../../runner/run.ts";
import { defineCommand } from "../command.ts";
import { tellLeft } from "../remarks.ts";
import { startOptions, toStartRequest } from "../start-options.ts";

export const run = defineCommand({
  name: "run",
  summary:
    "Run a command as itself: its output, its exit code; if its key is active already, attach to that job",
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
      const { job, detachedBy, hasKilled } = await runJob(context, request, {
        stdout: output.descriptor,
        stderr: context.stderr,
      });
      if (detachedBy !== undefined) {
        tellLeft(context, job);
        return SIGNAL_BASE + detachedBy;
      }
      const remark = explain(job);
      if (remark !== undefined) context.notify(remark);
      await tellOrphans(context, job, new OrphanFinder(context).find(job));
      const code = passedOnExitCode(job);
      // Whoever cancels a unit's job does not want `Restart=on-failure` to start it again, however it took its leave.
      const wasCancelled = job.status === "CANCELLED" && !hasKilled;
      if (wasCancelled || job.signal !== null)
        (await import("../../runner/run-in-unit.ts")).endAsCommand(
          wasCancelled ? SIGTERM : code - SIGNAL_BASE,
        );
      return code;
    } catch (error) {
      // The reader has seen enough. The job goes on, as after every other way to leave.
      if (error instanceof SystemError && error.errno === ERRNO.EPIPE) return SIGNAL_BASE + SIGPIPE;
      throw error;
    }
  },
});

/** What the exit code alone would leave in the dark. */
function explain(job: Job): string | undefined {
  if (job.status === "LOST")
    return `job ${job.jobId} is lost (${job.lostReason}): its worker is gone, so its result is not known; what it has written: orchesjob logs --job-id ${job.jobId}; what is known of it: orchesjob status --job-id ${job.jobId}`;
  if (job.status === "CANCELLED")
    return `job ${job.jobId} was cancelled${job.cancelReason === null ? "" : `: ${job.cancelReason}`}`;
  return job.error === null ? undefined : `job ${job.jobId}: ${job.error}`;
}
