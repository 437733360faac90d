/** Says what becomes of a job when this process stops watching it. */
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { isContainersCommand } from "../linux/self.ts";
import type { Context } from "../state/context.ts";

/** A predicate: `left job 1, which …`. */
export function describeAfterLeaving(context: Context, job: Job): string {
  if (!isActive(job.status)) return "has ended in the meantime";
  return endsWithUs(context, job) ? "ends with this container" : "goes on";
}

/** Whether the job ends with this process, because both are in a container that ends with this process. */
export function endsWithUs(context: Context, { origin }: Job): boolean {
  return origin?.pidNamespace === context.origin.pidNamespace && isContainersCommand();
}
