-- Who waits for a job by its id must learn, too, that the lease of its member is over.
create function orchesjob.find_jobs(beginning text, most int4) returns jsonb language plpgsql security definer as $$
declare
  exact orchesjob.job_records;
begin
  select * into exact from orchesjob.job_records where job_id = beginning;
  if exact.holds_key and orchesjob.recovery_ms(0) = 0 then
    perform orchesjob.expire(exact);
  end if;
  return (select coalesce(jsonb_agg(orchesjob.to_json(j) order by j.job_id desc), '[]') from (
    select * from orchesjob.job_records where job_id >= beginning and job_id < beginning || '~'
    order by job_id desc limit most) j);
end $$;

-- From now on whoever listens to the job is notified of its changes.
create function orchesjob.expect_news(wanted text) returns void language sql security definer as $$
  update orchesjob.job_records set is_awaited = true where job_id = wanted and not is_awaited
$$;

create function orchesjob.history(wanted text) returns jsonb language sql stable security definer as $$
  select coalesce(jsonb_agg(orchesjob.to_json(j) order by j.fencing_token desc, j.job_id desc), '[]')
  from orchesjob.job_records j where run_key = wanted
$$;

-- `filter`: statuses, labels (an object), prefix, since, until (microseconds, or null), most.
create function orchesjob.is_listed(found orchesjob.job_records, filter jsonb) returns boolean language sql stable as $$
  select (jsonb_array_length(filter -> 'statuses') = 0 or filter -> 'statuses' ? found.status)
    and (filter -> 'labels' = '{}' or found.job -> 'labels' @> (filter -> 'labels'))
    and starts_with(found.run_key, filter ->> 'prefix')
    and (filter ->> 'since' is null or (found.job ->> 'startedAt')::int8 >= (filter ->> 'since')::int8)
    and (filter ->> 'until' is null or (found.job ->> 'startedAt')::int8 < (filter ->> 'until')::int8)
$$;

create function orchesjob.list_jobs(filter jsonb) returns jsonb language sql stable security definer as $$
  select coalesce(jsonb_agg(orchesjob.to_json(j) order by j.fencing_token desc, j.job_id desc), '[]') from (
    select * from orchesjob.job_records r where orchesjob.is_listed(r, filter)
    order by fencing_token desc limit (filter ->> 'most')::int8) j
$$;

-- As list_jobs, without the active jobs, and those that ended last first. Few that have ended hold their key. Without
-- enable_sort = off, the planner reads all jobs and sorts them, instead of the last ones of the index finished_jobs.
create function orchesjob.list_ended(filter jsonb) returns jsonb language sql stable security definer
    set enable_sort = off as $$
  select coalesce(jsonb_agg(orchesjob.to_json(j) order by (j.job ->> 'finishedAt')::int8 desc, j.job_id desc), '[]') from (
    select * from (
      (select r.* from orchesjob.job_records r
        where not holds_key and (job ->> 'finishedAt')::int8 is not null and orchesjob.is_listed(r, filter)
        order by (job ->> 'finishedAt')::int8 desc limit (filter ->> 'most')::int8)
      union all
      select r.* from orchesjob.job_records r
        where holds_key and (job ->> 'finishedAt')::int8 is not null and orchesjob.is_listed(r, filter)) ended
    order by (job ->> 'finishedAt')::int8 desc limit (filter ->> 'most')::int8) j
$$;

create function orchesjob.output(wanted text) returns jsonb language sql stable security definer as $$
  select jsonb_build_object('stdout', encode(stdout, 'base64'), 'stderr', encode(stderr, 'base64'),
    'stdout_bytes', stdout_bytes, 'stderr_bytes', stderr_bytes) from orchesjob.outputs where job_id = wanted
$$;

create function orchesjob.list_members() returns jsonb language sql stable security definer as $$
  select coalesce(jsonb_agg(jsonb_build_object('member_id', m.member_id, 'name', m.name, 'host', s.host,
    'address', host(s.address), 'state_directory', m.state_directory, 'version', m.version, 'lease_ms', m.lease_ms,
    'on_partition', m.on_partition, 'unpublished', m.unpublished,
    'lease_left_ms', case when s.ended_at is null then round(extract(epoch from s.lease_until - clock_timestamp()) * 1000) end,
    'boot_id', s.boot_id, 'machine_id', s.machine_id,
    'renewed_at', round(extract(epoch from s.renewed_at) * 1000000)::int8,
    'joined_at', round(extract(epoch from m.joined_at) * 1000000)::int8,
    'forgotten_at', round(extract(epoch from m.forgotten_at) * 1000000)::int8,
    'active', (select count(*) from orchesjob.job_records j where j.member_id = m.member_id and holds_key)) order by m.name), '[]')
  from orchesjob.member_records m left join lateral (
    select * from orchesjob.sessions where member_id = m.member_id order by renewed_at desc limit 1) s on true
  where m.left_at is null
$$;

-- What doctor asks: the server, the rights, the connection.
create function orchesjob.describe() returns jsonb language sql volatile security definer as $$
  select jsonb_build_object('epoch', epoch, 'schema_version', schema_version, 'recovery_ms', orchesjob.recovery_ms(0),
    'recovery_reason', recovery_reason, 'now', round(extract(epoch from clock_timestamp()) * 1000000)::int8,
    'synchronous_standby_names', current_setting('synchronous_standby_names'), 'fsync', current_setting('fsync'),
    -- Of whoever is connected; this function runs with the rights of the schema's owner.
    'missing_rights', (select coalesce(jsonb_agg(proname order by proname), '[]') from pg_proc
      where pronamespace = 'orchesjob'::regnamespace and (prosecdef or proname = 'is_encrypted')
        and not has_function_privilege(session_user, pg_proc.oid, 'execute')),
    'members', (select count(*) from orchesjob.member_records where left_at is null),
    'members_with_lease', (select count(distinct member_id) from orchesjob.sessions
      where ended_at is null and lease_until > clock_timestamp()),
    'address', inet_server_addr()) from orchesjob.registry
$$;

-- Runs with the rights of the caller: the owner of the schema may not look at the connection of another role.
create function orchesjob.is_encrypted() returns bool language sql stable as $$
  select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
$$;

-- Looks at the next `most` finished jobs that ended before a time (microseconds), and deletes all but the newest `keep` of each
-- key. Each call is short, however many jobs are kept. Returns {"deleted", "next"}; `next`: the next call's `after`; null: the end.
-- With `dry` it deletes nothing, and also returns what it would delete: "jobs". The same question (`asked`) again gets the same answer.
-- Keeps the attempts of a run that goes on: their ids stand for the run.
create function orchesjob.clean(asked uuid, before int8, keep int4, most int4, after jsonb, dry bool) returns jsonb
language plpgsql security definer as $$
declare
  answer jsonb := (select c.answer from orchesjob.cleanings c where question = asked);
begin
  if answer is not null then
    return answer;
  end if;
  with candidates as (
    select job_id, run_key, status, fencing_token, (job ->> 'finishedAt')::int8 as ended from orchesjob.job_records
    where not holds_key and revoked_at is null and (job ->> 'finishedAt')::int8 < before
      and (job #>> '{retry,nextJobId}' is null or not exists (select from orchesjob.job_records h
        where h.run_key = job_records.run_key and h.holds_key and h.job #>> '{retry,ofJobId}' is not null))
      and (after is null or (job ->> 'finishedAt')::int8 >= (after ->> 'ended')::int8
        and ((job ->> 'finishedAt')::int8, job_id) > ((after ->> 'ended')::int8, after ->> 'job_id'))
    order by (job ->> 'finishedAt')::int8, job_id limit most),
  kept as (
    select run_key, (select n.fencing_token from orchesjob.job_records n where n.run_key = k.run_key and not n.holds_key
      order by n.fencing_token desc offset greatest(keep - 1, 0) limit 1) as oldest
    from (select distinct run_key from candidates) k),
  victims as (
    select job_id, run_key, status, ended from candidates join kept using (run_key) where keep = 0 or fencing_token < oldest),
  gone as (
    delete from orchesjob.job_records using victims where not dry and job_records.job_id = victims.job_id returning 1),
  forgotten as (
    delete from orchesjob.requests using victims where not dry and requests.job_id = victims.job_id)
  select jsonb_build_object('deleted', (select count(*) from gone), 'jobs', case when dry then (select coalesce(jsonb_agg(
      jsonb_build_object('jobId', job_id, 'runKey', run_key, 'status', status, 'endedAt', ended) order by ended, job_id), '[]') from victims) end,
    'next', case when (select count(*) from candidates) = most
    then (select jsonb_build_object('ended', ended, 'job_id', job_id) from candidates order by ended desc, job_id desc limit 1) end)
  into answer;
  if not dry then
    delete from orchesjob.cleanings where answered_at < clock_timestamp() - interval '1 day';
    -- The question may be under way twice, if the connection was lost meanwhile.
    insert into orchesjob.cleanings values (asked, answer) on conflict do nothing;
    select c.answer into answer from orchesjob.cleanings c where question = asked;
  end if;
  return answer;
end $$;
