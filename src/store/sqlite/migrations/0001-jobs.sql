-- Times are microseconds since 1970-01-01T00:00Z. Column names of orchesjob 1.0.x are kept: people query this table.
create table jobs (
  seq integer primary key,                   -- order of acceptance
  job_id text not null unique,
  run_key text not null,
  attempt_no integer not null,               -- 1, 2, ... within the run key
  status text not null check (status in ('STARTING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED')),
  command text not null,                     -- JSON array of strings
  cwd text not null,
  worker_pid integer,
  worker_start integer,                      -- clock ticks since boot
  target_pid integer,
  target_start integer,
  exit_code integer,
  signal text,
  error text,
  failure text,                              -- kind of the error: timed_out, not_found, not_executable, not_launched
  lost_reason text,
  stdout_file text generated always as ('logs/' || job_id || '.stdout') virtual,
  stderr_file text generated always as ('logs/' || job_id || '.stderr') virtual,
  started_at integer not null,
  finished_at any,                           -- any: the worker of an older version may still write its own form
  updated_at any,
  env text,                                  -- JSON array of the NAME=VALUE that were asked for
  labels text,                               -- JSON object
  timeout_ms integer,
  request_id text,                           -- the one that it was started with
  cancel_requested_at integer,
  cancel_reason text,
  cancel_grace_ms integer,
  cancel_pid integer,                        -- who asked, in the job's own PID namespace
  rerun_of_job_id text,
  rerun_reason text,
  host text not null,
  boot_id text,                              -- null: written by the Python orchesjob
  pid_namespace text
) strict;

create unique index jobs_attempts on jobs (run_key, attempt_no);

-- The database itself allows only one active job of a run key.
create unique index jobs_active on jobs (run_key) where status in ('STARTING', 'RUNNING');

create index jobs_finished on jobs (coalesce(finished_at, started_at), seq) where status not in ('STARTING', 'RUNNING');

-- For `list --status`: the statuses that are rare in a long history.
create index jobs_unsuccessful on jobs (status, seq) where status in ('FAILED', 'LOST', 'CANCELLED');

-- A caller's retry token and the job that it belongs to, whatever became of that since.
create table requests (
  run_key text not null,
  request_id text not null,
  job_id text not null,
  primary key (run_key, request_id)
) strict, without rowid;

-- Run keys that were started with --strict; kept when their history is cleaned.
create table strict_runs (
  run_key text primary key,
  job_id text not null
) strict, without rowid;

-- The run of a strict key that `unlock` has allowed.
create table strict_overrides (
  run_key text primary key,
  allowed_at integer not null,
  used_at integer,
  reason text,
  expires_at integer
) strict, without rowid;
