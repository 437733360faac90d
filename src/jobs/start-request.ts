/** What a start asks for. */
import type { Job, NewJob } from "../job/job.ts";
import type { StartPolicy } from "../job/policy.ts";

export interface StartRequest extends Omit<
  NewJob,
  "jobId" | "attemptNo" | "cwd" | "origin" | "worker" | "token"
> {
  readonly policy: StartPolicy;
  /** Absolute working directory; undefined: that of the caller. */
  readonly directory: string | undefined;
}

export function isSameCommand(job: Pick<Job, "command">, request: StartRequest): boolean {
  return JSON.stringify(job.command) === JSON.stringify(request.command);
}
