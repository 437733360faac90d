/**
 * The fields of a job, in the order in which they are printed: those of 1.0.0 first. Fields are added, never changed or
 * dropped. src/cli/output/views.ts fills them in.
 */
import { ON_PARTITIONS } from "../../job/fleet.ts";
import { FAILURES, LOST_REASONS } from "../../job/job.ts";
import { ON_LOG_LIMITS } from "../../job/limits.ts";
import { ENCODINGS, OUTPUT_MODES } from "../../job/output.ts";
import { STATUSES } from "../../job/status.ts";
import {
  type Keywords,
  anyOf,
  both,
  decimal,
  flag,
  integer,
  listOf,
  mapOf,
  named,
  object,
  oneOf,
  orNull,
  text,
  time,
  type Value,
} from "./schema.ts";

const fields = object("A job: one execution under a run key", {
  run_key: text("The name of the work, as the caller gave it"),
  job_id: text("The id of this job"),
  pid: orNull(integer("target_pid once the command runs, before that worker_pid")),
  command: listOf(text("A word"), "The words of the command"),
  status: oneOf(STATUSES, "STARTING and RUNNING are active; the others are final and never change"),
  stdout_file: text("Absolute path of its stdout"),
  stderr_file: text("Absolute path of its stderr"),
  exit_code: orNull(
    integer(
      "The exit code of the command; -N: signal N ended it; -1 with an error: it could not be launched; null: active, LOST, or its command still lives",
    ),
  ),
  started_at: time("When it was accepted; for a retry that has begun, when it began"),
  finished_at: orNull(time("When it ended; null while it is active")),
  finished_at_detected: flag("Whether finished_at is when the loss was found, not when it happened (LOST)"),
  attempt_no: integer("1, 2, …: the number of this job in the history of the run key"),
  worker_pid: orNull(integer("The process that watches the command and records its result")),
  target_pid: orNull(integer("The process of the command")),
  signal: orNull(text("The name of the signal that ended the command, for example SIGKILL")),
  error: orNull(text("Why it was not launched, or was ended; for people")),
  failure: orNull(oneOf(FAILURES, "Why it was not launched, or was ended; for programs")),
  lost_reason: orNull(oneOf(LOST_REASONS, "Why it is LOST")),
  orphan_pids: listOf(
    integer("A pid"),
    "Living processes of a job that was cancelled or lost, or that a limit ended; they hold the run key",
  ),
  cancel_reason: orNull(text("The text of cancel --reason")),
  rerun_of_job_id: orNull(
    text("The job that rerun repeated; for a plain start, the job of the key before it"),
  ),
  rerun_reason: orNull(text("The text of rerun --reason, or of the unlock --reason that allowed this run")),
  request_id: orNull(text("The request id that it was started with")),
  labels: mapOf(text("The value of a label"), "The labels that it was started with"),
  timeout_seconds: orNull(decimal("Its time limit")),
  properties: listOf(text("NAME=VALUE"), "The properties of its systemd scope that were asked for"),
  unit: orNull(text("Its systemd scope")),
  on_exit: orNull(text("The command of its hook")),
  on_exit_file: orNull(text("Absolute path of the output of its hook")),
  on_exit_code: orNull(
    integer("The exit code of its hook; -N: signal N ended it; -1: it could not be launched"),
  ),
  on_exit_error: orNull(text("What went wrong with its hook; for people")),
  on_exit_finished_at: orNull(time("When its hook ended")),
  on_failure: orNull(text("The command of its hook for failures")),
  on_failure_file: orNull(text("Absolute path of the output of that hook")),
  on_failure_code: orNull(integer("The exit code of that hook, as on_exit_code")),
  on_failure_error: orNull(text("What went wrong with that hook; for people")),
  on_failure_finished_at: orNull(time("When that hook ended; null also if the job SUCCEEDED")),
  stall_after_seconds: orNull(decimal("After how long without output it counts as stalled")),
  on_stall: orNull(text("What happens then: cancel, or a command")),
  on_stall_file: orNull(text("Absolute path of the output of that command")),
  stalled_since: orNull(time("When its last output came; null: it is not stalled")),
  quiet_seconds: orNull(
    decimal("In status and list, while it runs: time since its last output, or since it began without any"),
  ),
  last_line: orNull(
    text("In status and list, while it runs: the last line of its output, at most 200 characters"),
  ),
  max_log_bytes: orNull(integer("The most bytes that the log of each stream gets")),
  on_log_limit: orNull(oneOf(ON_LOG_LIMITS, "What happens when there are more; null: no limit")),
  log_limit_reached_at: orNull(
    time("When the first byte was dropped from a log; null: none was, or nobody saw it"),
  ),
  log_dropped_bytes: orNull(
    integer("How many bytes are in no log, when the command had ended; null: none, or not counted"),
  ),
  nice: orNull(integer("The niceness that the command starts with; null: that of its caller")),
  io_class: orNull(text("The I/O class that the command starts with; null: that of its caller")),
  env_files: listOf(text("An absolute path"), "The files whose variables the command gets"),
  grace_seconds: orNull(decimal("Time between TERM and KILL when a limit ends it; null: 5")),
  output: oneOf(OUTPUT_MODES, "What the command writes to: the log itself, or a pipe"),
  stdin_file: orNull(text("Absolute path of what the command reads")),
  cwd: text("The working directory of the command"),
  host: text("The name of the host"),
  fencing_token: orNull(
    integer(
      "A number that grows with each job of the state directory, or of its fleet; null: an older version accepted the job",
    ),
  ),
  on_partition: orNull(
    oneOf(
      ON_PARTITIONS,
      "What happens when its host is cut off from the fleet; null: it was accepted outside of a fleet",
    ),
  ),
  retries: integer("How many attempts may follow the first one, as --retries said; 0 without"),
  retries_left: integer("How many attempts may follow this one; 0 once the run has ended"),
  retry_of_job_id: orNull(text("The attempt before this one")),
  retry_at: orNull(time("When this attempt may launch its command; null: it is the first")),
  retried_by_job_id: orNull(text("The attempt after this one, which has failed")),
  member: orNull(text("The member of the fleet that has the job; null: your own state directory")),
  as_of: orNull(time("When that member was last heard about the job; null: your own state directory")),
  silent_seconds: orNull(
    decimal("How long the lease of that member is over; null: it is not, or your own state directory"),
  ),
  orphan_ended_at: orNull(
    time("When the last process of a LOST job ended; null: one lives, or nobody saw it"),
  ),
  orphan_exit_code: orNull(
    integer("The exit code of the command of a LOST job; -N: signal N ended it; null: not known"),
  ),
  orphan_signal: orNull(text("The name of the signal that ended the command of a LOST job")),
  cpu_seconds: orNull(
    decimal("Time on processors that the finished command has used; null: active, or not known"),
  ),
  max_rss_bytes: orNull(
    integer(
      "The most memory that one of its processes had at a time; null if that was less than the worker has, about 40 MB",
    ),
  ),
  io_read_bytes: orNull(integer("Bytes read from storage, not from the page cache")),
  io_write_bytes: orNull(integer("Bytes written to files on storage, also if they have not reached it yet")),
});
export type JobView = Value<typeof fields>;

export const JOB = named("job", fields);
const properties = fields.keywords["properties"] as Readonly<Record<string, Keywords>>;
export const JOB_FIELDS: readonly string[] = Object.keys(properties);

/** What a field means; undefined if a job has none of that name. */
export function describeField(name: string): string | undefined {
  return properties[name]?.["description"] as string | undefined;
}

/** `list`. */
export const JOBS = listOf(JOB, "Jobs");

/** `status`: one job, or several with --all or --running. */
export const STATUS = anyOf(JOB, JOBS);

export const WAIT = STATUS;

export const START = both(
  JOB,
  object("What a start adds to the job", {
    accepted: flag("Whether this call started a new job"),
    existing: flag("The opposite: this is a job that was there already"),
    mode: oneOf(["sync", "async"], "Whether this call waited for the end"),
    strict: flag("Whether this call was made with --strict, even if an existing job is returned"),
    strict_override_used: flag("Whether this call has used up the permission of unlock"),
    command_matches: flag("False: the existing job has another command than the one that was asked for"),
    command_shortened: flag("True: the command is too long for this answer; status has it in full"),
    warnings: listOf(text("A sentence"), "What may end the new job too early, or cost output"),
  }),
);
export type StartView = Value<typeof START>;

export const RERUN = both(
  START,
  object("What rerun adds to a start", {
    rerun: flag("True"),
  }),
);
export type RerunView = Value<typeof RERUN>;

export const RESULT = both(
  JOB,
  object("What result adds to the job", {
    stdout: text("The end of stdout as text, at most --max-bytes bytes"),
    stdout_truncated: flag("Whether there is more before it"),
    stderr: text("The end of stderr"),
    stderr_truncated: flag("Whether there is more before it"),
  }),
);
export type ResultView = Value<typeof RESULT>;

export const ATTACH = both(
  JOB,
  object("What attach --format json adds to the job", {
    stdout: text("What stdout has from stdout_from on, at most --max-bytes"),
    stdout_encoding: oneOf(ENCODINGS, "base64: the bytes are not UTF-8"),
    stdout_from: integer("The first byte, as asked for"),
    stdout_next: integer("The byte from which to ask next: --stdout-from"),
    stdout_more: flag("Whether there is more already, which did not fit"),
    stderr: text("As stdout"),
    stderr_encoding: oneOf(ENCODINGS, "As stdout_encoding"),
    stderr_from: integer("As stdout_from"),
    stderr_next: integer("The byte from which to ask next: --stderr-from"),
    stderr_more: flag("As stdout_more"),
    complete: flag("Whether the job has ended and nothing is left to ask for"),
  }),
);
export type AttachView = Value<typeof ATTACH>;

export const CANCEL = both(
  JOB,
  object("What cancel adds to the job", {
    survivors: listOf(integer("A pid"), "Processes of the job that are still alive; not empty: exit code 4"),
  }),
);
export type CancelView = Value<typeof CANCEL>;

export const CANCELLED = anyOf(CANCEL, listOf(CANCEL, "Of several jobs"));
