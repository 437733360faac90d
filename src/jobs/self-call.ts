/** A job that waits for itself never ends, and one that shows its own output fills the disk: such a call is refused. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { ANCESTORS_VARIABLE, enclosingJobs } from "../processes/variables.ts";

/** `action`: what was asked for, as in `cannot wait for job …`. Throws `conflict` where this process is a part of the job. */
export function refuseOwnJob(job: Job, action: string): void {
  const distance = isActive(job.status) ? enclosingJobs().indexOf(job.jobId) : -1;
  if (distance < 0) return;
  // Nobody knows whether the jobs between wait for each other: what was started without --sync may be left to itself.
  const why =
    distance === 0
      ? "this command is a part of that job, which would never end"
      : `this command is in a job that was started from there, and if that job waits for this one, neither would end; where it does not: env -u ${ANCESTORS_VARIABLE} orchesjob …`;
  throw new OrchesjobError(
    "conflict",
    `cannot ${action} job ${job.jobId} of run key ${JSON.stringify(job.runKey)} from within it: ${why}`,
  );
}

/** The same for a start: the key's active job is the one that this process is a part of. Throws `conflict`. */
export function refuseOwnKey(job: Job): void {
  if (!isActive(job.status) || !enclosingJobs().includes(job.jobId)) return;
  const key = JSON.stringify(job.runKey);
  throw new OrchesjobError(
    "conflict",
    `cannot start ${key} from within a job of ${key}: this command is a part of job ${job.jobId}, which is active, so nothing would run`,
    "give the inner call another --run-key, or name its command without orchesjob",
  );
}
