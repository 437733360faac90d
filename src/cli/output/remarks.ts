/** Remarks on stderr about the job of an answer. */
import { SIGNAL_BASE } from "../../job/exit-status.ts";
import { describeOrphanEnd } from "../../job/ending.ts";
import type { Job } from "../../job/job.ts";
import type { Context } from "../../state/context.ts";
import { endsWithUs, describeAfterLeaving } from "../../jobs/after-leaving.ts";

/** Says what becomes of a job that the caller no longer watches, and how to see it again or end it. */
export function reportLeft(context: Context, job: Job): void {
  const wayBack =
    job.elsewhere !== undefined
      ? `wait for it again: orchesjob wait --job-id ${job.jobId}; end it: orchesjob cancel --job-id ${job.jobId}`
      : endsWithUs(context, job)
        ? `see its output: orchesjob logs --job-id ${job.jobId}`
        : `see it again: orchesjob logs --follow --job-id ${job.jobId}; end it: orchesjob cancel --job-id ${job.jobId}`;
  context.notify(`left job ${job.jobId}, which ${describeAfterLeaving(context, job)}; ${wayBack}`);
}

/** How the job ended, if the exit code alone does not say it; undefined if it does. */
export function explainEnd(job: Job): string | undefined {
  if (job.status === "LOST")
    return `job ${job.jobId} is lost (${job.lostReason}): its worker is gone, so its result is unknown${describeOrphanEnd(job)}; its output: orchesjob logs --job-id ${job.jobId}; all that is known: orchesjob status --job-id ${job.jobId}`;
  if (job.status === "CANCELLED")
    return `job ${job.jobId} was cancelled${job.cancelReason === null ? "" : `: ${job.cancelReason}`}`;
  return job.error === null ? undefined : `job ${job.jobId}: ${job.error}`;
}

/** Says that the command could not be launched: in the answer, the job is FAILED like any other. */
export function reportFailedLaunch(context: Context, { jobId, failure, error }: Job): void {
  if (failure === "not_found" || failure === "not_executable" || failure === "not_launched")
    context.notify(`job ${jobId} could not be launched: ${error}`);
}

/** As reportLeft, then as dieOrReturn. */
export async function leave(context: Context, job: Job, signal: number): Promise<number> {
  reportLeft(context, job);
  return dieOrReturn(signal);
}

/** Ends this process by the signal, as if it had not been caught. Returns the exit code for the case that this cannot end it. */
export async function dieOrReturn(signal: number): Promise<number> {
  const { dieOf } = await import("../../systemd/unit.ts");
  dieOf(signal);
  return SIGNAL_BASE + signal;
}
