/** Refuses calls of a job about itself: waiting for itself would never end, and following its own output would fill the disk. */
import { OrchesjobError } from "../job/errors.ts";
import type { Job } from "../job/job.ts";
import { isActive } from "../job/status.ts";
import { ANCESTORS_VARIABLE, enclosingJobs } from "../processes/variables.ts";

/** `action`: as in `cannot wait for job …`. Throws `conflict` if this process is part of the job, or of a job started from it. */
export function refuseOwnJob(job: Job, action: string): void {
  const distance = isActive(job.status) ? enclosingJobs().indexOf(job.jobId) : -1;
  if (distance < 0) return;
  // Whether the outer job waits for this one is unknown: it may have started it without --sync.
  const why =
    distance === 0
      ? "this command is part of that job, which would never end"
      : `this command is part of a job that was started from there; if that job waits for this one, neither would end; if it does not: env -u ${ANCESTORS_VARIABLE} orchesjob …`;
  throw new OrchesjobError(
    "conflict",
    `cannot ${action} job ${job.jobId} of run key ${JSON.stringify(job.runKey)} from within it: ${why}`,
  );
}

/** The same for a start: throws `conflict` if this process is part of the key's active job. */
export function refuseOwnKey(job: Job): void {
  if (!isActive(job.status) || !enclosingJobs().includes(job.jobId)) return;
  const key = JSON.stringify(job.runKey);
  throw new OrchesjobError(
    "conflict",
    `cannot start ${key} from within a job of ${key}: this command is part of job ${job.jobId}, which is active, so nothing would run`,
    "give the inner call another --run-key, or run its command without orchesjob",
  );
}
