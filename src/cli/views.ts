/** The JSON contract: the fields of 1.0.0 first, in their order, then ours. Fields are added, never changed or dropped. */
import type { Job } from "../job/job.ts";
import { type Home, logFiles } from "../os/home.ts";
import type { Orphans } from "../runner/reconcile.ts";
import { formatInstant } from "./time.ts";

export function jobView(home: Home, job: Job, orphans: Orphans): Record<string, unknown> {
  const logs = logFiles(home, job.jobId);
  return {
    run_key: job.runKey,
    job_id: job.jobId,
    pid: job.target?.pid ?? job.worker?.pid ?? null,
    command: job.command,
    status: job.status,
    stdout_file: logs.stdout,
    stderr_file: logs.stderr,
    exit_code: job.exitCode,
    started_at: formatInstant(job.startedAt),
    finished_at: job.finishedAt === null ? null : formatInstant(job.finishedAt),
    // True: finished_at is when the loss was found, for nobody knows when it happened.
    finished_at_detected: job.status === "LOST",
    attempt_no: job.attemptNo,
    worker_pid: job.worker?.pid ?? null,
    target_pid: job.target?.pid ?? null,
    signal: job.signal,
    error: job.error,
    lost_reason: job.lostReason,
    orphan_pids: orphans.pids,
    cancel_reason: job.cancelReason,
    rerun_of_job_id: job.rerunOfJobId,
    rerun_reason: job.rerunReason,
    cwd: job.cwd,
    host: job.origin?.host ?? "",
  };
}

export function startView(
  home: Home,
  job: Job,
  orphans: Orphans,
  mode: "sync" | "async",
  existing: boolean,
): Record<string, unknown> {
  return { accepted: !existing, existing, mode, ...jobView(home, job, orphans) };
}
