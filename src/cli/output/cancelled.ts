/** What `cancel` answers and says about a job. */
import { endedEarly } from "../../job/ending.ts";
import { isActive } from "../../job/status.ts";
import type { CancelResult } from "../../jobs/cancel-steps.ts";
import { hasOrphans, OrphanFinder } from "../../jobs/orphan-finder.ts";
import type { Context } from "../../state/context.ts";
import type { CancelView } from "../answers/job.ts";
import { jobView } from "./views.ts";

export function cancelView(context: Context, { job, survivors }: CancelResult): CancelView {
  const orphans = new OrphanFinder(context).find(job);
  return { ...jobView(context.home, job, orphans), survivors: survivors.pids };
}

/** For the case that the answer is lost. */
export function describeCancelled({ job, survivors: { pids } }: CancelResult): string {
  const left = pids.length === 0 ? "" : `, but of its processes these still live: ${pids.join(", ")}`;
  return `job ${job.jobId} is ${job.status}${left}; see it: orchesjob status --job-id ${job.jobId}`;
}

/** Why a job was not cancelled, or not all of it; undefined if it was. */
export async function explainCancel(
  context: Context,
  { job, survivors }: CancelResult,
): Promise<string | undefined> {
  if (isActive(job.status)) {
    const isHere = job.origin === null || job.origin.pidNamespace === context.origin.pidNamespace;
    return isHere
      ? `job ${job.jobId}: its worker was asked to end it, but has not recorded the end yet; is the disk full? see: orchesjob doctor`
      : `job ${job.jobId}: its worker does not answer, and cannot be reached from here (another container); cancel it where it runs`;
  }
  if (!endedEarly(job))
    return `job ${job.jobId} ended before it could be cancelled: ${job.status}${job.error === null ? "" : ` (${job.error})`}`;
  if (!hasOrphans(survivors)) return undefined;
  const { describeSurvivors } = await import("../../jobs/survivors.ts");
  const { who, hint } = describeSurvivors(context, job, survivors, true);
  return `job ${job.jobId} is ${job.status}, but ${who}; ${hint}`;
}
