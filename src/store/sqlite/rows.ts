/** A row of table jobs, and the job that it means. */
import type {
  CancelRequest,
  Failure,
  Hook,
  Instant,
  Job,
  LostReason,
  Origin,
  ProcessIdentity,
} from "../../job/job.ts";
import { isScopeMode } from "../../job/scope.ts";
import { DEFAULT_HOOK_TIMEOUT_MS } from "../../job/hook.ts";
import type { JobStatus } from "../../job/status.ts";
import type { CleanCandidate } from "../store.ts";

export interface JobRow {
  readonly seq: number;
  readonly job_id: string;
  readonly run_key: string;
  readonly attempt_no: number;
  readonly status: JobStatus;
  readonly command: string;
  readonly cwd: string;
  readonly worker_pid: number | null;
  readonly worker_start: number | null;
  readonly target_pid: number | null;
  readonly target_start: number | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  readonly failure: Failure | null;
  readonly lost_reason: LostReason | null;
  readonly started_at: number;
  readonly finished_at: number | string | null;
  readonly env: string | null;
  readonly labels: string | null;
  readonly timeout_ms: number | null;
  readonly request_id: string | null;
  readonly cancel_requested_at: number | null;
  readonly cancel_reason: string | null;
  readonly cancel_grace_ms: number | null;
  readonly cancel_pid: number | null;
  readonly rerun_of_job_id: string | null;
  readonly rerun_reason: string | null;
  readonly on_exit: string | null;
  readonly on_exit_timeout_ms: number | null;
  readonly on_exit_code: number | null;
  readonly on_exit_error: string | null;
  readonly on_exit_finished_at: number | null;
  readonly host: string;
  readonly boot_id: string | null;
  readonly pid_namespace: string | null;
  readonly scope: string | null;
  readonly properties: string | null;
  readonly unit: string | null;
  readonly output: string | null;
  readonly stdin: string | null;
  readonly token: string | null;
  readonly target_inode: number | null;
  readonly left_behind: string | null;
}

/** As much of a row as clean needs. */
export interface CandidateRow extends Pick<JobRow, "seq" | "job_id" | "run_key" | "attempt_no" | "status"> {
  readonly ended_at: number;
  readonly hook: CleanCandidate["hook"];
  readonly has_input: number;
  readonly has_pipes: number;
  readonly may_live: number;
}

const NO_LABELS: Job["labels"] = new Map();

export function toJob(row: JobRow): Job {
  return {
    jobId: row.job_id,
    runKey: row.run_key,
    attemptNo: row.attempt_no,
    status: row.status,
    command: parse(row.command, isStrings, [row.command]),
    cwd: row.cwd,
    startedAt: row.started_at,
    finishedAt:
      row.finished_at === null
        ? null
        : row.boot_id === null
          ? toInstant(row.finished_at, row.started_at)
          : Number(row.finished_at),
    exitCode: row.exit_code,
    signal: row.signal,
    error: row.error,
    failure: row.failure,
    lostReason: row.lost_reason,
    env: parse(row.env, isStrings, []),
    labels: row.labels === null ? NO_LABELS : new Map(Object.entries(parse(row.labels, isTexts, {}))),
    timeoutMs: row.timeout_ms,
    requestId: row.request_id,
    cancelRequest: toCancelRequest(row),
    cancelReason: row.cancel_reason,
    rerunOfJobId: row.rerun_of_job_id,
    rerunReason: row.rerun_reason,
    scope: isScopeMode(row.scope) ? row.scope : "auto",
    properties: parse(row.properties, isStrings, []),
    unit: row.unit,
    onExit: toHook(row),
    output: row.output === "pipe" ? "pipe" : "file",
    stdin: row.stdin,
    origin: toOrigin(row),
    worker: toIdentity(row.worker_pid, row.worker_start),
    target: toIdentity(row.target_pid, row.target_start, row.target_inode),
    token: row.token,
    leftBehind: row.left_behind === null ? null : toProcesses(parse(row.left_behind, isLeft, null)),
  };
}

export function toJobs(rows: readonly JobRow[]): readonly Job[] {
  const jobs: Job[] = [];
  for (const row of rows) jobs.push(toJob(row));
  return jobs;
}

/** What a hand has written into the row is taken as it is meant, or left out; it must not keep the others from being read. */
function parse<T, U = T>(text: string | null, isMeant: (value: unknown) => value is T, otherwise: U): T | U {
  if (text === null) return otherwise;
  try {
    const value: unknown = JSON.parse(text);
    return isMeant(value) ? value : otherwise;
  } catch {
    return otherwise;
  }
}

function isStrings(value: unknown): value is string[] {
  if (!Array.isArray(value)) return false;
  for (const word of value) if (typeof word !== "string") return false;
  return true;
}

function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === "object" && value !== null && isStrings(Object.values(value));
}

function toCancelRequest(row: JobRow): CancelRequest | null {
  if (row.cancel_requested_at === null) return null;
  const { cancel_reason: reason, cancel_grace_ms: graceMs, cancel_pid: pid } = row;
  return { at: row.cancel_requested_at, reason, graceMs: graceMs ?? 0, pid: pid ?? 0 };
}

function toHook(row: JobRow): Hook | null {
  if (row.on_exit === null) return null;
  const { on_exit: command, on_exit_timeout_ms, on_exit_code: exitCode, on_exit_error: error } = row;
  const finishedAt = row.on_exit_finished_at;
  return {
    command,
    timeoutMs: on_exit_timeout_ms ?? DEFAULT_HOOK_TIMEOUT_MS,
    result: finishedAt === null ? null : { exitCode, error, finishedAt },
  };
}

function toOrigin(row: JobRow): Origin | null {
  if (row.boot_id === null) return null;
  return { host: row.host, bootId: row.boot_id, pidNamespace: row.pid_namespace ?? "" };
}

function toIdentity(
  pid: number | null,
  startTicks: number | null,
  inode: number | null = null,
): ProcessIdentity | null {
  return pid === null ? null : { pid, startTicks: startTicks ?? 0, ...(inode !== null && { inode }) };
}

/** A process as column left_behind has it. */
interface Left {
  readonly pid: number;
  readonly start: number;
  readonly inode: number;
}

function isLeft(value: unknown): value is readonly Left[] {
  const isNumbers = ({ pid, start, inode }: Partial<Left>) =>
    [pid, start, inode].every((number) => Number.isSafeInteger(number));
  return Array.isArray(value) && value.every((each) => each !== null && isNumbers(each as Partial<Left>));
}

function toProcesses(left: readonly Left[] | null): readonly ProcessIdentity[] | null {
  return left && left.map(({ pid, start, inode }) => ({ pid, startTicks: start, inode }));
}

/** Column left_behind. */
export function toLeft(processes: readonly ProcessIdentity[] | null): string | null {
  if (processes === null) return null;
  return JSON.stringify(
    processes.map(({ pid, startTicks, inode = 0 }): Left => ({ pid, start: startTicks, inode })),
  );
}

/** What is below may be seconds: in microseconds it would be the first hours of 1970. */
export const SMALLEST_MICROSECONDS = 100_000_000_000;

/**
 * A time in any form that a Python version has written (ISO text, seconds), or that we have made of it (microseconds). `since`:
 * an instant that was before it, which tells the first hours of 1970 from seconds of today.
 */
export function toInstant(value: number | string, since = Number.POSITIVE_INFINITY): Instant {
  if (typeof value === "string") {
    const instant = Temporal.Instant.from(value);
    return Number(instant.epochNanoseconds / 1000n);
  }
  return value < SMALLEST_MICROSECONDS && value < since ? value * 1_000_000 : value;
}
