/** The JSON that the server answers, as far as the page reads it. test/page holds it against the declared answers. */

export type Status = "STARTING" | "RUNNING" | "SUCCEEDED" | "FAILED" | "LOST" | "CANCELLED";

/** A job as `orchesjob status` prints it. The page shows the fields that it does not know, too. */
export interface Job {
  readonly run_key: string;
  readonly job_id: string;
  readonly command: readonly string[];
  readonly status: Status;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  readonly lost_reason: string | null;
  readonly cancel_reason: string | null;
  readonly orphan_pids: readonly number[];
  readonly started_at: string;
  readonly finished_at: string | null;
  readonly finished_at_detected: boolean;
  readonly attempt_no: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly stalled_since: string | null;
  readonly quiet_seconds: number | null;
  readonly last_line: string | null;
  readonly rerun_of_job_id: string | null;
  readonly retry_of_job_id: string | null;
  readonly retried_by_job_id: string | null;
  readonly retry_at: string | null;
  readonly member: string | null;
  readonly silent_seconds: number | null;
  readonly host: string;
}

/** What is usual for a run key. Durations are those of the jobs that SUCCEEDED. */
export interface Usual {
  /** How many of its newest jobs were looked at. */
  readonly runs: number;
  readonly succeeded: number;
  readonly success_rate: number | null;
  readonly median_seconds: number | null;
  readonly p95_seconds: number | null;
  readonly shortest_seconds: number | null;
  readonly longest_seconds: number | null;
}

/** Jobs that ended in a period; averages have fractions. The rate is from 0 to 1; null: none ended. */
export interface Totals {
  readonly ended: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly lost: number;
  readonly cancelled: number;
  readonly success_rate: number | null;
}

/** A job as a bar. Times in ms since 1970. */
export interface Run {
  readonly job_id: string;
  readonly status: Status;
  readonly started_ms: number;
  readonly finished_ms: number | null;
}

export interface ActiveJob extends Job {
  readonly is_slow: boolean;
  readonly median_seconds: number | null;
  readonly p95_seconds: number | null;
}

/** GET /api/overview */
export interface Overview {
  readonly host: string;
  readonly state_directory: string;
  readonly version: string;
  readonly in_fleet: boolean;
  readonly active: number;
  readonly stalled: number;
  readonly slow: number;
  readonly jobs: readonly ActiveJob[];
  readonly last_24_hours: Totals;
  readonly usual_24_hours: Totals;
  readonly usual_days: number;
}

/** GET /api/timeline: the newest end first. */
export interface Timeline {
  readonly keys: readonly string[];
  /** `key`: a place in `keys`. */
  readonly runs: readonly (Run & { readonly key: number })[];
  readonly is_cut: boolean;
}

/** GET /api/keys */
export interface Keys {
  readonly keys: readonly KeyRow[];
  /** Ask for ?after= this; null: there are no more. */
  readonly next: string | null;
}

export interface KeyRow {
  readonly run_key: string;
  readonly attempt_no: number;
  readonly last: Run;
  readonly runs: number;
  readonly succeeded: number;
  readonly success_rate: number | null;
  readonly median_seconds: number | null;
  readonly p95_seconds: number | null;
}

/** GET /api/keys/KEY */
export interface Key {
  readonly run_key: string;
  readonly job: Job;
  readonly usual: Usual;
  /** The newest first. */
  readonly runs: readonly Run[];
  /** The oldest first. */
  readonly days: readonly (Totals & { readonly day: string })[];
}

/** GET /api/jobs/ID/STREAM/search */
export interface Found {
  readonly matches: readonly { readonly at: number; readonly line_at: number }[];
  /** Where to search on; null: all was searched. */
  readonly next: number | null;
}

export interface Member {
  readonly member: string;
  readonly host: string | null;
  readonly address: string | null;
  readonly state_directory: string;
  readonly active_jobs: number;
  readonly unpublished: number;
  readonly lease_left_seconds: number | null;
  readonly renewed_at: string | null;
  readonly on_partition: string;
  readonly version: string;
}

/** GET /api/fleet: as `fleet status` prints it. */
export interface Fleet {
  readonly member: string;
  readonly registry: string;
  readonly lease_seconds: number;
  readonly unpublished: number;
  readonly recovery_seconds: number;
  readonly members: readonly Member[];
}
