/** What a person is told on stderr about the job of the answer. */
import { SIGNAL_BASE } from "../../job/exit-status.ts";
import type { Job } from "../../job/job.ts";
import type { Context } from "../../state/context.ts";
import { endsWithUs, describeAfterLeaving } from "../../jobs/after-leaving.ts";

/** Says how to see the job again, and how to end it. */
export function tellLeft(context: Context, job: Job): void {
  const wayBack = endsWithUs(context, job)
    ? `see what it has written: orchesjob logs --job-id ${job.jobId}`
    : `see it again: orchesjob logs --follow --job-id ${job.jobId}; end it: orchesjob cancel --job-id ${job.jobId}`;
  context.notify(`left job ${job.jobId}, which ${describeAfterLeaving(context, job)}; ${wayBack}`);
}

/** A job that never ran is FAILED as any other in the answer, and the exit code says nothing of it. */
export function tellFailedLaunch(context: Context, { jobId, failure, error }: Job): void {
  if (failure === "not_found" || failure === "not_executable" || failure === "not_launched")
    context.notify(`job ${jobId} could not be launched: ${error}`);
}

/** As tellLeft; then we end by the signal, as who had not waited for it would have. Returns the exit code of who is not let. */
export async function leave(context: Context, job: Job, signal: number): Promise<number> {
  tellLeft(context, job);
  const { dieOf } = await import("../../systemd/unit.ts");
  dieOf(signal);
  return SIGNAL_BASE + signal;
}
