/** What becomes of a job when we leave it, for people. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { isContainersCommand } from "../linux/self.ts";
import type { Context } from "../state/context.ts";

/** `left job 1, which …`. */
export function describeAfterLeaving(context: Context, job: Job): string {
  if (!isActive(job.status)) return "has ended meanwhile";
  return endsWithUs(context, job) ? "ends with this container" : "goes on";
}

/** Whether the container ends that the job is in: with its first command, which we are. */
export function endsWithUs(context: Context, { origin }: Job): boolean {
  return origin?.pidNamespace === context.origin.pidNamespace && isContainersCommand();
}
