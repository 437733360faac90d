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
  lost_reason text,
  stdout_file text generated always as ('logs/' || job_id || '.stdout') virtual,
  stderr_file text generated always as ('logs/' || job_id || '.stderr') virtual,
  started_at integer not null,
  finished_at any,                           -- any: the worker of an older version may still write its own form
  updated_at any,
  cancel_reason text,
  rerun_of_job_id text,
  rerun_reason text,
  host text not null,
  boot_id text,                              -- null: written by the Python orchesjob
  pid_namespace text
) strict;

create unique index jobs_attempts on jobs (run_key, attempt_no);

-- Law 1: for a run key at most one job is active.
create unique index jobs_active on jobs (run_key) where status in ('STARTING', 'RUNNING');

create index jobs_finished on jobs (coalesce(finished_at, started_at), seq) where status not in ('STARTING', 'RUNNING');

create table strict_overrides (
  run_key text primary key,
  allowed_at integer not null,
  used_at integer,
  reason text,
  expires_at integer
) strict, without rowid;
