/** The named statements on jobs. Only `list`, the metrics and the upgrades have statements of their own. */
import { EARLY_FAILURES } from "../../job/ending.ts";
import { ACTIVE, EVENTS, type JobEvent } from "../../job/status.ts";
import { SET_USAGE } from "./usage.ts";

export const quote = (values: readonly string[]) => `'${values.join("', '")}'`;
export const IS_ACTIVE = `status in (${quote(ACTIVE)})`;
export const IS_FINISHED = `status not in (${quote(ACTIVE)})`;
const OUTCOME = `exit_code = $exitCode, signal = $signal, error = $error, failure = $failure, finished_at = $at, ${SET_USAGE},
    target_pid = coalesce($pid, target_pid), target_start = coalesce($start, target_start),
    target_inode = coalesce($inode, target_inode), left_behind = $left`;
/** See job/ending.ts. */
const MAY_LIVE = `(status = 'LOST' or ((status = 'CANCELLED' or failure in (${quote(EARLY_FAILURES)})) and coalesce(left_behind, '') <> '[]'))`;
/** See job/hook.ts. */
const HOOK_IS_DUE = `(on_exit is not null and on_exit_finished_at is null
      or on_failure is not null and on_failure_result is null and status <> 'SUCCEEDED')`;
const HOOK_STATE = `case when coalesce(on_exit, on_failure) is null then 'none' when ${HOOK_IS_DUE} then 'due' else 'over' end`;
export const ENDED_AT = "coalesce(finished_at, started_at)";

/** How the statement `finishedBefore` ends, after the conditions that the caller adds. */
export const IN_ORDER_OF_END = `order by ${ENDED_AT}, seq limit $limit`;

/** Statements that nearly every process needs. */
const COMMON = {
  find: "select * from job_records where job_id = $jobId",
  // The plus keeps SQLite from asking whether the value makes a partial index usable: it would prepare the statement again for
  // every value, which takes 160,000 instructions.
  latest: "select * from job_records where run_key = +$runKey order by attempt_no desc limit 1",
  numbered: "select * from job_records where run_key = +$runKey and attempt_no = $attemptNo",
  history: "select * from job_records where run_key = +$runKey order by attempt_no desc",
  active: `select * from job_records where ${IS_ACTIVE} order by run_key`,
  anyActive: `select seq from job_records where ${IS_ACTIVE} limit 1`,
};

/**
 * All other statements. A function, because making their texts takes 60,000 instructions, and a process that only reads needs
 * none of them.
 */
const others = () =>
  ({
    finishedBefore: `select seq, job_id, run_key, attempt_no, status, ${ENDED_AT} as ended_at, ${HOOK_STATE} as hook, coalesce(stdin = '-', 0) as has_input, coalesce(output = 'pipe', 0) as has_pipes, instr(coalesce(limits, ''), '"onStall"') > 0 as has_stall_log, coalesce(${MAY_LIVE}, 0) as may_live from job_records where ${IS_FINISHED} and ${ENDED_AT} < $before
    and (${ENDED_AT}, seq) > ($afterEnd, $afterSeq)`,
    firstKept: `select value as run_key, (select attempt_no from job_records where run_key = value and ${IS_FINISHED}
      order by attempt_no desc limit 1 offset $keep - 1) as attempt_no from json_each($runKeys)`,
    unknown: `select value as job_id from json_each($jobIds)
    where not exists (select 1 from job_records where job_id = value)`,
    unclaimed: `select value as job_id from json_each($jobIds)
    where coalesce((select status from job_records where job_id = value), 'STARTING') = 'STARTING'`,
    remove: `delete from job_records where ${IS_FINISHED} and not ${HOOK_IS_DUE}
    and job_id in (select value from json_each($jobIds))`,
    place: `select max(attempt_no) as highest, total(attempt_no = $attemptNo) as taken, total(${IS_ACTIVE}) as active
    from job_records where run_key = +$runKey`,
    requestCancel: `update job_records set updated_at = $at, cancel_requested_at = coalesce(cancel_requested_at, $at),
      cancel_reason = coalesce(cancel_reason, $reason),
      cancel_grace_ms = min(coalesce(cancel_grace_ms, $graceMs), $graceMs), cancel_pid = coalesce(cancel_pid, $pid)
    where job_id = $jobId and ${IS_ACTIVE} returning *`,
    findRequest: `select job_records.*, requests.command as requested_command from requests join job_records using (job_id)
    where requests.run_key = $runKey and requests.request_id = $requestId`,
    bindNewRequest:
      "insert or replace into requests (run_key, request_id, job_id) values ($runKey, $requestId, $jobId)",
    bindRequest: `insert into requests (run_key, request_id, job_id, command) values ($runKey, $requestId, $jobId, $command)
    on conflict do update set job_id = excluded.job_id, command = excluded.command where job_id not in (select job_id from job_records)`,
    dropRequests: "delete from requests where job_id not in (select job_id from job_records)",
    rememberStrict: `insert into strict_runs (run_key, job_id) values ($runKey, $jobId)
    on conflict do update set job_id = excluded.job_id`,
    strictJobId: "select job_id from strict_runs where run_key = $runKey",
    override: `select reason from unlocks
    where run_key = $runKey and used_at is null and (expires_at is null or expires_at > $at)`,
    useOverride: `update unlocks set used_at = $at
    where run_key = $runKey and used_at is null and (expires_at is null or expires_at > $at)`,
    unlock: `insert into unlocks (run_key, allowed_at, used_at, reason, expires_at)
    values ($runKey, $at, null, $reason, $expiresAt)
    on conflict do update set allowed_at = $at, used_at = null, reason = $reason, expires_at = $expiresAt`,
    recordTarget: `update job_records set target_pid = $pid, target_start = $start, target_inode = $inode, updated_at = $at where job_id = $jobId and ${IS_ACTIVE}`,
    recordLeft: `update job_records set left_behind = $left, signal = iif(exit_code is null, $signal, signal),
      exit_code = coalesce(exit_code, $exitCode)
    where job_id = $jobId and (status = 'CANCELLED' or (status = 'FAILED' and failure in (${quote(EARLY_FAILURES)})))`,
    recordLogLimit: `update job_records set log_limit_at = coalesce(log_limit_at, $at), log_dropped_bytes = $bytes, updated_at = $at where job_id = $jobId and ${IS_ACTIVE}`,
    recordStall: `update job_records set stalled_since = $since, updated_at = $at where job_id = $jobId and ${IS_ACTIVE}`,
    // A keeper may learn of the end late, but it was before the next job of the key began.
    recordOrphanEnd: `update job_records set orphan_ended_at = min($at, coalesce((select next.started_at from job_records as next
      where next.run_key = job_records.run_key and next.attempt_no > job_records.attempt_no order by next.attempt_no limit 1), $at)),
      orphan_exit_code = $exitCode, orphan_signal = $signal
    where job_id = $jobId and status = 'LOST' and orphan_ended_at is null`,
    // It looks each key up after the one before, so a long history costs no more than a short one.
    newestOfKeys: `with recursive keys (run_key) as (
      select min(run_key) from job_records where run_key >= $prefix and run_key < $prefixEnd
      union all
      select (select min(run_key) from job_records where run_key > keys.run_key and run_key < $prefixEnd) from keys
        where run_key is not null
    ), wanted (run_key) as (select run_key from keys where run_key is not null limit $limit)
    select jobs.* from wanted cross join job_records as jobs on jobs.run_key = wanted.run_key
      and attempt_no = (select max(attempt_no) from job_records as others where others.run_key = wanted.run_key)`,
    jobIds: `select * from job_records where job_id >= $prefix and job_id < $prefixEnd order by job_id desc limit $limit`,
    recordExitHook: `update job_records set on_exit_code = $exitCode, on_exit_error = $error, on_exit_finished_at = $finishedAt
    where job_id = $jobId and ${IS_FINISHED} and on_exit_finished_at is null`,
    recordFailureHook: `update job_records set on_failure_result = $result
    where job_id = $jobId and ${IS_FINISHED} and on_failure_result is null`,
    run: onEvent(
      "run",
      // A retry was accepted long before: its time must not count as running. One that never runs keeps that time.
      `worker_pid = $pid, worker_start = $start, host = $host, boot_id = $bootId, pid_namespace = $pidNamespace, unit = $unit,
      started_at = iif(retry ->> 'at' is null or cancel_requested_at is not null, started_at, coalesce($startedAt, started_at))`,
    ),
    succeed: onEvent("succeed", OUTCOME),
    fail: onEvent("fail", OUTCOME),
    // Not if somebody has cancelled it: that ends the whole run.
    failAndRetry: onEvent(
      "fail",
      `${OUTCOME}, retry = json_set(retry, '$.nextJobId', $next), on_exit = null, on_exit_timeout_ms = null, on_failure = null`,
      "and cancel_requested_at is null",
    ),
    moveRequests: "update requests set job_id = $next where run_key = $runKey and job_id = $jobId",
    moveStrict: "update strict_runs set job_id = $next where run_key = $runKey and job_id = $jobId",
    cancel: onEvent("cancel", OUTCOME),
    lose: onEvent("lose", "lost_reason = $reason, finished_at = $at"),
  }) satisfies Record<JobEvent, string> & Record<string, string>;

/** Whether the directory is in a fleet: then there is the table `publications`. */
export const IS_TRACKING = "select 1 from sqlite_schema where type = 'table' and name = 'publications'";
/** Of the statement `remove`: keeps jobs of which the registry has yet to hear. */
export const KEEP_UNPUBLISHED =
  "and job_id not in (select job_id from publications where change > published)";

export type Query = keyof typeof COMMON | keyof ReturnType<typeof others>;

/** All statements. */
export const queries = (): Readonly<Record<Query, string>> => ({ ...COMMON, ...others() });

let all: ReturnType<typeof queries> | undefined;

export function textOf(query: Query): string {
  return (COMMON as Partial<Record<Query, string>>)[query] ?? (all ??= queries())[query];
}

/** Returns the guarded statement for an event of the state machine. */
function onEvent(event: JobEvent, columns: string, condition = ""): string {
  return `update job_records set status = '${EVENTS[event].to}', updated_at = $at, ${columns}
     where job_id = $jobId and status in (${quote(EVENTS[event].from)}) ${condition} returning *`;
}

/** Returns the statement that inserts a row. A short one is prepared sooner, and null is what the columns left out get. */
export function insertStatement(values: Readonly<Record<string, unknown>>): string {
  const columns: string[] = [];
  for (const name in values) if (values[name] !== null) columns.push(name);
  return `insert into job_records (${columns.join(", ")}) values ($${columns.join(", $")}) returning *`;
}

/** Of such a statement: makes sure that the fencing token is larger than that of the job accepted before. */
export function withGrowingToken(statement: string): string {
  return statement.replace(
    "$fencing_token",
    "max($fencing_token, 1 + coalesce((select fencing_token from job_records order by seq desc limit 1), 0))",
  );
}
