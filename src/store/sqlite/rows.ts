/** Converts between rows of `job_records` and jobs. */
import { DEFAULT_HOOK_TIMEOUT_MS } from "../../job/hook.ts";
import type { CancelRequest, Hook, Instant, Job, OrphanEnd, Origin, ProcessIdentity } from "../../job/job.ts";
import { isLimits, NO_LIMITS } from "../../job/limits.ts";
import { isScopeMode } from "../../job/scope.ts";
import type { CleanCandidate } from "../store.ts";
import {
  isLeft,
  isRetry,
  isStrings,
  isTexts,
  listOrNull,
  objectOrNull,
  parse,
  toFailureHook,
  toLeft,
  toProcesses,
} from "./json-columns.ts";
import { toUsage, toUsageColumns } from "./usage.ts";

/** A row of `job_records` as SQLite gives it. `finished_at` may have the form of a Python version: see toInstant. */
export type JobRow = { readonly seq: number; readonly finished_at: number | string | null } & Readonly<
  Omit<ReturnType<typeof toColumns>, "finished_at">
>;

/** The columns of a job's row: the opposite of toJob. The statement that inserts a row is made from their names. */
export function toColumns(job: Job) {
  const { cancelRequest, onExit, onFailure, origin, worker, target } = job;
  return {
    job_id: job.jobId,
    run_key: job.runKey,
    attempt_no: job.attemptNo,
    status: job.status,
    command: JSON.stringify(job.command),
    cwd: job.cwd,
    started_at: job.startedAt,
    finished_at: job.finishedAt,
    updated_at: job.finishedAt ?? job.startedAt,
    exit_code: job.exitCode,
    signal: job.signal,
    error: job.error,
    failure: job.failure,
    ...toUsageColumns(job.usage),
    lost_reason: job.lostReason,
    env: listOrNull(job.env),
    labels: job.labels.size === 0 ? null : JSON.stringify(Object.fromEntries(job.labels)),
    timeout_ms: job.timeoutMs,
    request_id: job.requestId,
    cancel_requested_at: cancelRequest?.at ?? null,
    cancel_reason: job.cancelReason,
    cancel_grace_ms: cancelRequest?.graceMs ?? null,
    cancel_pid: cancelRequest?.pid ?? null,
    rerun_of_job_id: job.rerunOfJobId,
    rerun_reason: job.rerunReason,
    scope: job.scope === "auto" ? null : job.scope,
    properties: listOrNull(job.properties),
    unit: job.unit,
    on_exit: onExit?.command ?? null,
    on_exit_timeout_ms: onExit?.timeoutMs ?? null,
    on_exit_code: onExit?.result?.exitCode ?? null,
    on_exit_error: onExit?.result?.error ?? null,
    on_exit_finished_at: onExit?.result?.finishedAt ?? null,
    on_failure: onFailure && JSON.stringify({ command: onFailure.command, timeoutMs: onFailure.timeoutMs }),
    on_failure_result: onFailure?.result ? JSON.stringify(onFailure.result) : null,
    limits: objectOrNull(job.limits),
    stalled_since: job.stalledSince,
    log_limit_at: job.logLimitAt,
    log_dropped_bytes: job.logDroppedBytes,
    output: job.output === "file" ? null : job.output,
    stdin: job.stdin,
    host: origin?.host ?? "",
    boot_id: origin?.bootId ?? null,
    pid_namespace: origin?.pidNamespace ?? null,
    worker_pid: worker?.pid ?? null,
    worker_start: worker?.startTicks ?? null,
    target_pid: target?.pid ?? null,
    target_start: target?.startTicks ?? null,
    target_inode: target?.inode || null,
    token: job.token,
    left_behind: toLeft(job.leftBehind),
    orphan_ended_at: job.orphanEnd?.at ?? null,
    orphan_exit_code: job.orphanEnd?.exitCode ?? null,
    orphan_signal: job.orphanEnd?.signal ?? null,
    fencing_token: job.fencingToken,
    on_partition: job.onPartition,
    retry: job.retry && JSON.stringify(job.retry),
  };
}

/** The part of a row that clean needs. */
export interface CandidateRow extends Pick<JobRow, "seq" | "job_id" | "run_key" | "attempt_no" | "status"> {
  readonly ended_at: number;
  readonly hook: CleanCandidate["hook"];
  readonly has_input: number;
  readonly has_pipes: number;
  readonly has_stall_log: number;
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
    usage: toUsage(row),
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
    onFailure: row.on_failure === null ? null : toFailureHook(row.on_failure, row.on_failure_result),
    limits: row.limits === null ? NO_LIMITS : parse(row.limits, isLimits, NO_LIMITS),
    stalledSince: row.stalled_since,
    logLimitAt: row.log_limit_at,
    logDroppedBytes: row.log_dropped_bytes,
    output: row.output === "pipe" ? "pipe" : "file",
    stdin: row.stdin,
    origin: toOrigin(row),
    worker: toIdentity(row.worker_pid, row.worker_start),
    target: toIdentity(row.target_pid, row.target_start, row.target_inode),
    token: row.token,
    leftBehind: row.left_behind === null ? null : toProcesses(parse(row.left_behind, isLeft, null)),
    orphanEnd: toOrphanEnd(row),
    fencingToken: row.fencing_token,
    onPartition: row.on_partition,
    retry: row.retry === null ? null : parse(row.retry, isRetry, null),
  };
}

export function toJobs(rows: readonly JobRow[]): readonly Job[] {
  const jobs: Job[] = [];
  for (const row of rows) jobs.push(toJob(row));
  return jobs;
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

function toOrphanEnd(row: JobRow): OrphanEnd | null {
  const { orphan_ended_at: at, orphan_exit_code: exitCode, orphan_signal: signal } = row;
  return at === null ? null : { at, exitCode, signal };
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

/** A smaller number may be seconds: as microseconds it would be in the first hours of 1970. */
export const SMALLEST_MICROSECONDS = 100_000_000_000;

/**
 * Converts a time in any form that a Python version has written (ISO text, seconds), or that we have made of it
 * (microseconds). `since`: an earlier instant, which distinguishes the first hours of 1970 from seconds of today.
 */
export function toInstant(value: number | string, since = Number.POSITIVE_INFINITY): Instant {
  if (typeof value === "string") {
    const instant = Temporal.Instant.from(value);
    return Number(instant.epochNanoseconds / 1000n);
  }
  return value < SMALLEST_MICROSECONDS && value < since ? value * 1_000_000 : value;
}
