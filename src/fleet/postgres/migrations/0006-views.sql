-- The interface for dashboards: names and meaning of these columns stay, columns may be added. See docs/fleet.md.
create view orchesjob.jobs as
  select j.run_key, j.job_id, j.status, j.attempt_no, j.fencing_token, m.name as member, s.host,
    j.holds_key, j.on_partition,
    to_timestamp((j.job ->> 'startedAt')::int8 / 1000000.0) as started_at,
    to_timestamp((j.job ->> 'finishedAt')::int8 / 1000000.0) as finished_at,
    (j.job ->> 'exitCode')::int4 as exit_code, j.job ->> 'signal' as signal, j.job ->> 'error' as error,
    j.job ->> 'failure' as failure, j.job ->> 'lostReason' as lost_reason,
    j.job -> 'command' as command, j.job ->> 'cwd' as cwd, j.job -> 'labels' as labels, j.job ->> 'requestId' as request_id,
    case when j.status in ('STARTING', 'RUNNING') then greatest(j.published_at, s.renewed_at) else j.published_at end as as_of,
    j.late ->> 'status' as late_status, j.job #>> '{retry,ofJobId}' as retry_of_job_id
  from orchesjob.job_records j join orchesjob.member_records m using (member_id) join orchesjob.sessions s using (session_id);

create view orchesjob.members as
  select m.name as member, s.host, host(s.address) as address, m.state_directory, m.version, m.on_partition,
    m.lease_ms / 1000.0 as lease_seconds, s.lease_until, s.renewed_at, m.unpublished, m.joined_at, m.left_at,
    m.forgotten_at, m.forgotten_reason,
    (select count(*) from orchesjob.job_records j where j.member_id = m.member_id and j.holds_key) as active_jobs
  from orchesjob.member_records m left join lateral (
    select * from orchesjob.sessions where member_id = m.member_id order by renewed_at desc limit 1) s on true;

-- Only who is granted it may call a function: they run with the rights of the schema's owner.
revoke all on all functions in schema orchesjob from public;
do $$
declare
  name regprocedure;
begin
  for name in select oid::regprocedure from pg_proc where pronamespace = 'orchesjob'::regnamespace and prosecdef loop
    execute format('alter function %s set search_path = pg_catalog', name);
    -- A connection keeps its plans. One that was made while a table was empty would read the full table whole.
    execute format('alter function %s set enable_seqscan = off', name);
    execute format('alter function %s set jit = off', name);
  end loop;
end $$;
