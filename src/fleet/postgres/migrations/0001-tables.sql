-- The registry: which member may run which key, and a copy of all jobs. Only the functions of the next files write here.
create table orchesjob.registry (
  one bool primary key default true check (one),
  schema_version int4 not null,
  server_identity text not null,      -- changes if another server, another timeline or a restored schema answers
  epoch int8 not null,                -- grows with each recovery
  recovery_until timestamptz,         -- until then no claim is granted
  recovery_reason text
);

-- Grows with each accepted job. It begins with the minutes since 1970, so that it also grows across a restored backup.
create sequence orchesjob.fencing_tokens as int8;

create table orchesjob.member_records (
  member_id uuid primary key,
  name text not null,
  lease_ms int4 not null check (lease_ms > 0),
  on_partition text not null check (on_partition in ('continue', 'stop')),
  state_directory text not null,
  version text not null,              -- of orchesjob
  unpublished int8 not null default 0, -- changes that the registry does not have yet, as the agent last said
  joined_at timestamptz not null default clock_timestamp(),
  left_at timestamptz,
  forgotten_at timestamptz,
  forgotten_reason text
);
create unique index member_names on orchesjob.member_records (name) where left_at is null;

-- A stay of a member: one state directory on one boot of one host (boot_id has both). It is over when its lease and the delay after it are over.
create table orchesjob.sessions (
  session_id int8 primary key generated always as identity,
  member_id uuid not null references orchesjob.member_records,
  boot_id text not null,
  machine_id text not null,
  host text not null,
  address inet default inet_client_addr(),
  beat int8 not null default 1,       -- how often it was renewed
  started_at timestamptz not null default clock_timestamp(),
  renewed_at timestamptz not null default clock_timestamp(),
  lease_until timestamptz not null,
  ended_at timestamptz
);
create unique index open_sessions on orchesjob.sessions (member_id, boot_id) where ended_at is null;

create table orchesjob.job_records (
  job_id text collate "C" primary key,
  run_key text collate "C" not null,
  fencing_token int8 not null,
  after_token int8,                   -- token of the job that was the key's newest; 0: there was none; null: not claimed here
  attempt_no int8 not null,
  status text not null check (status in ('STARTING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED')),
  holds_key bool not null,            -- active, or processes of a job that was ended early still live
  -- Of tables that keep all their rows: references would cost each claim two more locks.
  member_id uuid not null,
  session_id int8 not null,
  on_partition text not null check (on_partition in ('continue', 'stop')),
  is_unstoppable bool not null default false, -- its member may not end one of its processes, so its key waits as with 'continue'
  change int8 not null,               -- the member's count of changes; a smaller one comes late and is ignored
  job jsonb not null,                 -- the job as its member has it
  cancel_request jsonb,               -- of another member
  is_awaited bool not null default false, -- another member wants to be notified of its end
  revoked_at timestamptz,             -- its key was given away; its member must end the command
  late jsonb,                         -- what its member said after the job was recorded as LOST here
  published_at timestamptz not null default clock_timestamp()
);
-- The registry itself refuses a second job of a key, and a second one after the same job.
create unique index key_holders on orchesjob.job_records (run_key) where holds_key;
create unique index successions on orchesjob.job_records (run_key, after_token) where after_token is not null;
create index key_history on orchesjob.job_records (run_key, fencing_token);
-- For renewals: what a member must know of its jobs.
create index member_holds on orchesjob.job_records (member_id) where holds_key or revoked_at is not null;
create index by_time on orchesjob.job_records (fencing_token desc);
create index finished_jobs on orchesjob.job_records (((job ->> 'finishedAt')::int8)) where not holds_key;

-- The end of each stream of a finished job.
create table orchesjob.outputs (
  job_id text collate "C" primary key references orchesjob.job_records on delete cascade,
  stdout bytea not null,
  stderr bytea not null,
  stdout_bytes int8 not null,         -- of the whole stream
  stderr_bytes int8 not null
);

create table orchesjob.requests (
  run_key text collate "C" not null,
  request_id text not null,
  job_id text collate "C" not null,
  command jsonb,                      -- what was asked for with it, if the job was there already
  primary key (run_key, request_id)
);
create index request_jobs on orchesjob.requests (job_id);

create table orchesjob.strict_keys (
  run_key text collate "C" primary key,
  job_id text not null
);

-- What a call of clean() has answered, for its caller who asks again because the answer was lost.
create table orchesjob.cleanings (
  question uuid primary key,
  answer jsonb not null,
  answered_at timestamptz not null default clock_timestamp()
);

create table orchesjob.unlocks (
  run_key text collate "C" primary key,
  allowed_at timestamptz not null,
  used_at timestamptz,
  reason text,
  expires_at timestamptz
);
