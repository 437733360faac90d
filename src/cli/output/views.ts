/** The JSON of a job: fills in the fields that answers/job.ts declares, in the same order. */
import type { Job } from "../../job/job.ts";
import { stallCommand } from "../../job/limits.ts";
import { OWN_STDIN } from "../../job/output.ts";
import { retriesLeft } from "../../job/retry.ts";
import type { LastOutput } from "../../state/last-output.ts";
import { OrphanFinder, type Orphans } from "../../jobs/orphan-finder.ts";
import type { StartResult } from "../../jobs/start.ts";
import type { Context } from "../../state/context.ts";
import { type Home, homeAt, hookLog, logFiles, stdinFile } from "../../state/paths.ts";
import type { JobView, StartView } from "../answers/job.ts";
import { formatInstant } from "../options/time.ts";
import { escapeJson, toJson } from "./json.ts";
import { sanitize } from "./sanitize.ts";

/** `last`: of a running job, if the answer is to tell it. */
export function jobView(here: Home, job: Job, orphans: Orphans, last?: LastOutput): JobView {
  const { elsewhere } = job;
  const home = elsewhere === undefined ? here : homeAt(elsewhere.home);
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
    finished_at_detected: job.status === "LOST",
    attempt_no: job.attemptNo,
    worker_pid: job.worker?.pid ?? null,
    target_pid: job.target?.pid ?? null,
    signal: job.signal,
    error: job.error,
    failure: job.failure,
    lost_reason: job.lostReason,
    orphan_pids: orphans.pids,
    cancel_reason: job.cancelReason,
    rerun_of_job_id: job.rerunOfJobId,
    rerun_reason: job.rerunReason,
    request_id: job.requestId,
    labels: job.labels.size === 0 ? {} : Object.fromEntries(job.labels),
    timeout_seconds: job.timeoutMs === null ? null : job.timeoutMs / 1000,
    properties: job.properties,
    unit: job.unit,
    ...exitHookView(home, job),
    ...failureHookView(home, job),
    stall_after_seconds: job.limits.stallAfterMs === undefined ? null : job.limits.stallAfterMs / 1000,
    on_stall: job.limits.onStall ?? null,
    on_stall_file: stallCommand(job.limits) === undefined ? null : hookLog(home, job.jobId, "stall"),
    stalled_since: job.stalledSince === null ? null : formatInstant(job.stalledSince),
    quiet_seconds: last === undefined ? null : Math.round(last.quietMs) / 1000,
    last_line: last?.lastLine == null ? null : sanitize(last.lastLine),
    max_log_bytes: job.limits.maxLogBytes ?? null,
    on_log_limit: job.limits.maxLogBytes === undefined ? null : (job.limits.onLogLimit ?? "drop"),
    log_limit_reached_at: job.logLimitAt === null ? null : formatInstant(job.logLimitAt),
    log_dropped_bytes: job.logDroppedBytes,
    nice: job.limits.nice ?? null,
    io_class: job.limits.ioClass ?? null,
    env_files: job.limits.envFiles ?? [],
    grace_seconds: job.limits.graceMs === undefined ? null : job.limits.graceMs / 1000,
    output: job.output,
    stdin_file: stdinPath(home, job),
    cwd: job.cwd,
    host: elsewhere?.host ?? job.origin?.host ?? "",
    fencing_token: job.fencingToken,
    on_partition: job.onPartition,
    ...retryView(job),
    member: elsewhere?.member ?? null,
    as_of: elsewhere === undefined ? null : formatInstant(elsewhere.asOf),
    silent_seconds: elsewhere === undefined || elsewhere.silentMs === 0 ? null : elsewhere.silentMs / 1000,
    orphan_ended_at: job.orphanEnd === null ? null : formatInstant(job.orphanEnd.at),
    orphan_exit_code: job.orphanEnd?.exitCode ?? null,
    orphan_signal: job.orphanEnd?.signal ?? null,
    cpu_seconds: job.usage?.cpuSeconds ?? null,
    max_rss_bytes: job.usage?.maxRssBytes ?? null,
    io_read_bytes: job.usage?.ioReadBytes ?? null,
    io_write_bytes: job.usage?.ioWriteBytes ?? null,
  };
}

function retryView(job: Job) {
  const { retry } = job;
  return {
    retries: retry?.retries ?? 0,
    retries_left: retriesLeft(job),
    retry_of_job_id: retry?.ofJobId ?? null,
    retry_at: retry?.at == null ? null : formatInstant(retry.at),
    retried_by_job_id: retry?.nextJobId ?? null,
  };
}

function stdinPath(home: Home, { jobId, stdin }: Job): string | null {
  return stdin === OWN_STDIN ? stdinFile(home, jobId) : stdin;
}

/** The stdin of a hook: the job as `status` prints it. */
export function describeForHook(context: Context, job: Job, last?: LastOutput): string {
  return escapeJson(toJson(jobView(context.home, job, new OrphanFinder(context).find(job), last)));
}

function exitHookView(home: Home, { jobId, onExit }: Job) {
  const result = onExit?.result ?? null;
  return {
    on_exit: onExit?.command ?? null,
    on_exit_file: onExit === null ? null : hookLog(home, jobId, "exit"),
    on_exit_code: result?.exitCode ?? null,
    on_exit_error: result?.error ?? null,
    on_exit_finished_at: result === null ? null : formatInstant(result.finishedAt),
  };
}

function failureHookView(home: Home, { jobId, onFailure }: Job) {
  const result = onFailure?.result ?? null;
  return {
    on_failure: onFailure?.command ?? null,
    on_failure_file: onFailure === null ? null : hookLog(home, jobId, "failure"),
    on_failure_code: result?.exitCode ?? null,
    on_failure_error: result?.error ?? null,
    on_failure_finished_at: result === null ? null : formatInstant(result.finishedAt),
  };
}

/** As jobView, for many jobs; of those that run, also what they have written last. */
export async function viewsWithOutput(
  finder: OrphanFinder,
  jobs: readonly Job[],
): Promise<readonly JobView[]> {
  const { home } = finder.context;
  let isNeeded = false;
  for (const { status } of jobs) isNeeded ||= status === "RUNNING";
  const { findLastOutput } = isNeeded ? await import("../../state/last-output.ts") : {};
  const views: JobView[] = [];
  for (const job of jobs) views.push(jobView(home, job, finder.find(job), findLastOutput?.(home, job)));
  return views;
}

/** The answer of a start. It stays below 16 kB for any command, because clients read it from a pipe, and only after the exit. */
export function startView(
  home: Home,
  result: StartResult,
  orphans: Orphans,
  mode: "sync" | "async",
  strict: boolean,
): StartView {
  const { job, existing, commandMatches } = result;
  const shortened = shortenCommand(job.command);
  return {
    accepted: !existing,
    existing,
    mode,
    ...jobView(home, job, orphans),
    ...(shortened === undefined ? {} : { command: shortened }),
    error: job.error === null ? null : cutMiddle(job.error, WHOLE_TEXT_CHARACTERS),
    cwd: cutMiddle(job.cwd, WHOLE_TEXT_CHARACTERS),
    stdin_file: job.stdin === null ? null : cutMiddle(stdinPath(home, job)!, WHOLE_TEXT_CHARACTERS),
    on_exit: job.onExit === null ? null : cutMiddle(job.onExit.command, WHOLE_TEXT_CHARACTERS),
    on_failure: job.onFailure === null ? null : cutMiddle(job.onFailure.command, WHOLE_TEXT_CHARACTERS),
    on_stall: job.limits.onStall === undefined ? null : cutMiddle(job.limits.onStall, WHOLE_TEXT_CHARACTERS),
    strict,
    strict_override_used: result.overrideUsed,
    command_matches: commandMatches,
    command_shortened: shortened !== undefined,
    warnings: result.warnings,
  };
}

const WHOLE_COMMAND_CHARACTERS = 4_000;
/** The limit for a message or a path. */
const WHOLE_TEXT_CHARACTERS = 1_000;
const SHORTENED_WORDS = 20;
const SHORTENED_WORD_CHARACTERS = 100;

/** Undefined if the command is short enough. */
function shortenCommand(command: readonly string[]): readonly string[] | undefined {
  if (JSON.stringify(command).length <= WHOLE_COMMAND_CHARACTERS) return undefined;
  const words = command.slice(0, SHORTENED_WORDS).map((word) => cutMiddle(word, SHORTENED_WORD_CHARACTERS));
  return command.length > SHORTENED_WORDS ? [...words, "…"] : words;
}

/** Cuts a text to at most `length` characters, with `…` in the middle for what is left out. */
export function cutMiddle(text: string, length: number): string {
  const characters = [...text.slice(0, length * 4), ...(text.length > length * 4 ? text.slice(-length) : "")];
  if (characters.length <= length) return text;
  const head = Math.ceil((length - 1) / 2);
  return [
    ...characters.slice(0, head),
    "…",
    ...characters.slice(characters.length - (length - 1 - head)),
  ].join("");
}
