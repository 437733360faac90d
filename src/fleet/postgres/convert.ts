/** Converts between what the functions of the schema take and give, and the types of the interface. */
import { fromDocument, toDocument } from "../../job/document.ts";
import type { Job } from "../../job/job.ts";
import type { Announcement, Refusal } from "../registry.ts";

export type Row = Readonly<Record<string, any>>;

export function toEntry({ job, output, successor, ...more }: Announcement): Row {
  return {
    job_id: job.jobId,
    run_key: job.runKey,
    fencing_token: job.fencingToken ?? 0,
    attempt_no: job.attemptNo,
    status: job.status,
    on_partition: job.onPartition ?? "continue",
    holds_key: more.holdsKey,
    is_unstoppable: more.isUnstoppable,
    change: more.change,
    request_ids: more.requestIds,
    strict: more.strict,
    job: toDocument(job),
    output: output && {
      ...{ stdout: output.stdout, stderr: output.stderr },
      ...{ stdout_bytes: output.stdoutBytes, stderr_bytes: output.stderrBytes },
    },
    successor: successor && toEntry(successor),
  };
}

export function toRefusal({ refused, host, wait_ms: waitMs = 0 }: any): Refusal {
  return { refused, host, waitMs };
}

export function toHeld(rows: readonly Row[]): readonly { jobId: string; runKey: string }[] {
  return rows.map((row) => ({ jobId: row["job_id"], runKey: row["run_key"] }));
}

export function toJobs(rows: readonly Row[]): readonly Job[] {
  return rows.map(toJob);
}

export function toJobIfAny(row: Row | null): Job | undefined {
  return row === null ? undefined : toJob(row);
}

function toJob(row: Row): Job {
  return fromDocument(row["job"], {
    member: row["member"],
    memberId: row["member_id"],
    host: row["host"],
    home: row["state_directory"],
    asOf: row["as_of"],
    holdsKey: row["holds_key"],
    silentMs: row["silent_ms"],
  });
}
