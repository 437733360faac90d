-- The schema of the registry as all migrations make it, by pg_dump of PostgreSQL 15: for readers, and compared by a test.
-- To write it anew: ORCHESJOB_WRITE_SCHEMA=1 bun test test/fleet/schema.test.ts

CREATE SCHEMA orchesjob;

CREATE FUNCTION orchesjob.begin_recovery(known bigint, reason text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  state orchesjob.registry;
begin
  select * into strict state from orchesjob.registry for update;
  if state.server_identity = orchesjob.server_identity() and state.epoch > known then
    return;
  end if;
  update orchesjob.registry set server_identity = orchesjob.server_identity(), epoch = greatest(state.epoch, known,
      floor(extract(epoch from clock_timestamp()))::int8) + 1,
    recovery_reason = reason, recovery_until = clock_timestamp() + make_interval(secs => (
      select coalesce(max(lease_ms), 0) / 1000.0 from orchesjob.member_records where left_at is null));
  perform orchesjob.raise_tokens(greatest(orchesjob.token_floor(), (select last_value from orchesjob.fencing_tokens)));
end $$;

CREATE FUNCTION orchesjob.bind_request(key text, request text, bound text, asked jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  next text := bound;
begin
  perform orchesjob.commit_durably();
  -- The job may have failed since the caller saw it: then the id stands for the attempt that follows.
  while next is not null loop
    bound := next;
    select n.job_id into next from orchesjob.job_records j join orchesjob.job_records n
      on n.job_id = j.job #>> '{retry,nextJobId}' where j.job_id = bound;
  end loop;
  insert into orchesjob.requests values (key, request, bound, asked)
    on conflict (run_key, request_id) do update set job_id = excluded.job_id, command = excluded.command
      where not exists (select from orchesjob.job_records j where j.job_id = requests.job_id);
end $$;

CREATE TABLE orchesjob.registry (
    one boolean DEFAULT true NOT NULL,
    schema_version integer NOT NULL,
    server_identity text NOT NULL,
    epoch bigint NOT NULL,
    recovery_until timestamp with time zone,
    recovery_reason text,
    CONSTRAINT registry_one_check CHECK (one)
);

CREATE FUNCTION orchesjob.check_registry(known bigint) RETURNS orchesjob.registry
    LANGUAGE plpgsql
    AS $$
declare
  state orchesjob.registry;
begin
  select * into strict state from orchesjob.registry;
  if state.server_identity <> orchesjob.server_identity() then
    perform orchesjob.begin_recovery(state.epoch, 'another server or timeline answers: '
      || orchesjob.server_identity() || ' instead of ' || state.server_identity);
    select * into strict state from orchesjob.registry;
  elsif state.epoch < known then
    perform orchesjob.begin_recovery(known, 'a member knows epoch ' || known || ', the registry ' || state.epoch);
    select * into strict state from orchesjob.registry;
  end if;
  return state;
end $$;

CREATE FUNCTION orchesjob.claim(caller jsonb, claim jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  session jsonb := orchesjob.renew_session(caller, true);
  state orchesjob.registry := orchesjob.check_registry((caller ->> 'epoch')::int8);
  recovery int8 := orchesjob.left_of_recovery(state);
  key text := claim ->> 'run_key';
  request text := claim ->> 'request_id';
  member orchesjob.member_records;
  before orchesjob.job_records;
  made orchesjob.job_records;
begin
  if session ? 'refused' then
    return session;
  end if;
  session := session || jsonb_build_object('epoch', state.epoch);
  -- As in newest(). A holder that is older than the newest job is found by the index of holders, below.
  select * into before from orchesjob.job_records where run_key >= key and run_key <= key
    order by run_key desc, fencing_token desc limit 1;
  if before.job_id = claim ->> 'job_id' and before.holds_key then
    return orchesjob.grant_answer(before, session);
  end if;
  if recovery > 0 then
    return jsonb_build_object('refused', 'recovery', 'wait_ms', recovery, 'session', session);
  end if;
  if before.holds_key or before.job_id is distinct from claim ->> 'expected' then
    return jsonb_build_object('refused', 'changed', 'session', session);
  end if;
  if request is not null and exists (select from orchesjob.requests r join orchesjob.job_records using (job_id)
      where r.run_key = key and r.request_id = request) then
    return jsonb_build_object('refused', 'changed', 'session', session);
  end if;
  -- From here on the member cannot leave before this ends. It may have left before.
  select * into strict member from orchesjob.member_records where member_id = (caller ->> 'member_id')::uuid for key share;
  if member.left_at is not null then
    return jsonb_build_object('refused', 'left');
  end if;
  insert into orchesjob.job_records (job_id, run_key, fencing_token, after_token, attempt_no, status, holds_key, member_id,
      session_id, on_partition, change, job)
    values (claim ->> 'job_id', key, nextval('orchesjob.fencing_tokens'), coalesce(before.fencing_token, 0),
      greatest(coalesce(before.attempt_no, 0), (claim ->> 'attempt_no')::int8) + 1, 'STARTING', true,
      member.member_id, (session ->> 'session_id')::int8, coalesce(claim ->> 'on_partition', member.on_partition), 0,
      claim -> 'job')
    on conflict do nothing returning * into made;
  if made.job_id is null then
    return jsonb_build_object('refused', 'changed', 'session', session);
  end if;
  if (claim ->> 'use_override')::bool then
    update orchesjob.unlocks set used_at = clock_timestamp() where run_key = key and orchesjob.may_run_again(key);
    if not found then
      delete from orchesjob.job_records where job_id = made.job_id;
      return jsonb_build_object('refused', 'changed', 'session', session);
    end if;
  end if;
  if request is not null then
    insert into orchesjob.requests values (key, request, made.job_id)
      on conflict (run_key, request_id) do update set job_id = excluded.job_id, command = null;
  end if;
  if (claim ->> 'strict')::bool then
    -- The first one stays: a claim that is given back takes only its own mark with it.
    insert into orchesjob.strict_keys values (key, made.job_id) on conflict do nothing;
  end if;
  return orchesjob.grant_answer(made, session);
end $$;

CREATE FUNCTION orchesjob.clean(asked uuid, before bigint, keep integer, most integer, after jsonb, dry boolean) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION orchesjob.commit_durably() RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end $$;

CREATE FUNCTION orchesjob.describe() RETURNS jsonb
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION orchesjob.end_session(ending bigint, is_dead boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  -- The index of the jobs that hold a key is by member.
  owner uuid := (select member_id from orchesjob.sessions where session_id = ending);
begin
  -- Takes the row's lock first, so that no renewal gets in between.
  perform from orchesjob.sessions s join orchesjob.member_records m using (member_id)
    where session_id = ending and ended_at is null and (is_dead or orchesjob.is_over(s.lease_until, m.lease_ms))
    for update of s;
  if not found then
    return;
  end if;
  update orchesjob.job_records set status = 'LOST', holds_key = false, revoked_at = clock_timestamp(),
    published_at = clock_timestamp(), job = job || jsonb_build_object('status', 'LOST', 'lostReason', 'host_unreachable',
      'finishedAt', floor(extract(epoch from clock_timestamp()) * 1000000)::int8)
    where member_id = owner and session_id = ending and holds_key and status in ('STARTING', 'RUNNING')
      and (is_dead or (on_partition = 'stop' and not is_unstoppable));
  if is_dead then
    update orchesjob.job_records set holds_key = false, revoked_at = clock_timestamp()
      where member_id = owner and session_id = ending and holds_key;
  end if;
  -- A session whose jobs wait for their host stays open, so that its host finds it again.
  update orchesjob.sessions set ended_at = clock_timestamp() where session_id = ending
    and not exists (select from orchesjob.job_records where member_id = owner and session_id = ending and holds_key);
end $$;

CREATE FUNCTION orchesjob.expect_news(wanted text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
  update orchesjob.job_records set is_awaited = true where job_id = wanted and not is_awaited
$$;

CREATE TABLE orchesjob.job_records (
    job_id text NOT NULL COLLATE pg_catalog."C",
    run_key text NOT NULL COLLATE pg_catalog."C",
    fencing_token bigint NOT NULL,
    after_token bigint,
    attempt_no bigint NOT NULL,
    status text NOT NULL,
    holds_key boolean NOT NULL,
    member_id uuid NOT NULL,
    session_id bigint NOT NULL,
    on_partition text NOT NULL,
    is_unstoppable boolean DEFAULT false NOT NULL,
    change bigint NOT NULL,
    job jsonb NOT NULL,
    cancel_request jsonb,
    is_awaited boolean DEFAULT false NOT NULL,
    revoked_at timestamp with time zone,
    late jsonb,
    published_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT job_records_on_partition_check CHECK ((on_partition = ANY (ARRAY['continue'::text, 'stop'::text]))),
    CONSTRAINT job_records_status_check CHECK ((status = ANY (ARRAY['STARTING'::text, 'RUNNING'::text, 'SUCCEEDED'::text, 'FAILED'::text, 'LOST'::text, 'CANCELLED'::text])))
);

CREATE FUNCTION orchesjob.expire(holder orchesjob.job_records) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  if holder.holds_key and holder.on_partition = 'stop' and not holder.is_unstoppable then
    perform orchesjob.end_session(s.session_id, false) from orchesjob.sessions s join orchesjob.member_records m using (member_id)
      where s.session_id = holder.session_id and s.ended_at is null and orchesjob.is_over(s.lease_until, m.lease_ms);
  end if;
end $$;

CREATE FUNCTION orchesjob.find_jobs(beginning text, most integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION orchesjob.forget_member(forgotten text, reason text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  member orchesjob.member_records;
  jobs jsonb;
begin
  perform orchesjob.commit_durably();
  select * into member from orchesjob.member_records where name = forgotten and left_at is null for update;
  if member.member_id is null then
    return jsonb_build_object('refused', 'unknown');
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('job_id', job_id, 'run_key', run_key)), '[]') into jobs
    from orchesjob.job_records where member_id = member.member_id and holds_key;
  perform orchesjob.end_session(session_id, true) from orchesjob.sessions
    where member_id = member.member_id and ended_at is null;
  update orchesjob.member_records set forgotten_at = clock_timestamp(), forgotten_reason = reason
    where member_id = member.member_id;
  return jsonb_build_object('name', member.name, 'jobs', jobs);
end $$;

CREATE FUNCTION orchesjob.grant_answer(granted orchesjob.job_records, session jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
begin
  return jsonb_build_object('granted', true, 'fencing_token', granted.fencing_token, 'attempt_no', granted.attempt_no,
    'on_partition', granted.on_partition, 'session', session);
end $$;

CREATE FUNCTION orchesjob.history(wanted text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
  select coalesce(jsonb_agg(orchesjob.to_json(j) order by j.fencing_token desc, j.job_id desc), '[]')
  from orchesjob.job_records j where run_key = wanted
$$;

CREATE FUNCTION orchesjob.is_encrypted() RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
$$;

CREATE FUNCTION orchesjob.is_listed(found orchesjob.job_records, filter jsonb) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  select (jsonb_array_length(filter -> 'statuses') = 0 or filter -> 'statuses' ? found.status)
    and (filter -> 'labels' = '{}' or found.job -> 'labels' @> (filter -> 'labels'))
    and starts_with(found.run_key, filter ->> 'prefix')
    and (filter ->> 'since' is null or (found.job ->> 'startedAt')::int8 >= (filter ->> 'since')::int8)
    and (filter ->> 'until' is null or (found.job ->> 'startedAt')::int8 < (filter ->> 'until')::int8)
$$;

CREATE FUNCTION orchesjob.is_over(lease_until timestamp with time zone, lease_ms integer) RETURNS boolean
    LANGUAGE sql
    AS $$
  select clock_timestamp() > lease_until + make_interval(secs => lease_ms / 1000.0)
    and clock_timestamp() > pg_postmaster_start_time() + make_interval(secs => 2 * lease_ms / 1000.0)
$$;

CREATE FUNCTION orchesjob.join_fleet(member jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  namesake orchesjob.member_records;
begin
  perform orchesjob.commit_durably();
  -- Whoever replaces a host that was declared dead, and was not heard of since, gets its name.
  update orchesjob.member_records m set name = name || to_char(forgotten_at, '"~"YYYY-MM-DD"T"HH24:MI:SS')
    where name = member ->> 'name' and left_at is null and member_id <> (member ->> 'member_id')::uuid
      and forgotten_at is not null
      and not exists (select from orchesjob.sessions s where s.member_id = m.member_id and renewed_at > m.forgotten_at);
  select * into namesake from orchesjob.member_records
    where name = member ->> 'name' and left_at is null and member_id <> (member ->> 'member_id')::uuid;
  if namesake.member_id is not null then
    return jsonb_build_object('refused', 'name', 'state_directory', namesake.state_directory,
      'host', (select host from orchesjob.sessions where member_id = namesake.member_id order by session_id desc limit 1));
  end if;
  insert into orchesjob.member_records (member_id, name, lease_ms, on_partition, state_directory, version)
    values ((member ->> 'member_id')::uuid, member ->> 'name', (member ->> 'lease_ms')::int4, member ->> 'on_partition',
      member ->> 'state_directory', member ->> 'version')
    on conflict (member_id) do update set name = excluded.name, lease_ms = excluded.lease_ms, left_at = null,
      on_partition = excluded.on_partition, state_directory = excluded.state_directory, version = excluded.version;
  -- What the member has accepted alone has tokens by its own clock.
  perform orchesjob.raise_tokens((member ->> 'last_token')::int8);
  return jsonb_build_object('joined', true);
end $$;

CREATE FUNCTION orchesjob.leave_fleet(leaving uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  held jsonb;
begin
  perform orchesjob.commit_durably();
  perform from orchesjob.member_records where member_id = leaving for update;
  select jsonb_agg(jsonb_build_object('job_id', job_id, 'run_key', run_key)) into held
    from orchesjob.job_records where member_id = leaving and holds_key;
  if held is not null then
    return jsonb_build_object('refused', 'active', 'jobs', held);
  end if;
  update orchesjob.sessions set ended_at = clock_timestamp() where member_id = leaving and ended_at is null;
  update orchesjob.member_records set left_at = clock_timestamp() where member_id = leaving and left_at is null;
  return jsonb_build_object('left', true);
end $$;

CREATE FUNCTION orchesjob.left_of_recovery(state orchesjob.registry) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
  return greatest(0, ceil(extract(epoch from state.recovery_until - clock_timestamp()) * 1000))::int8;
end $$;

CREATE FUNCTION orchesjob.list_ended(filter jsonb) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET enable_sort TO 'off'
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION orchesjob.list_jobs(filter jsonb) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
  select coalesce(jsonb_agg(orchesjob.to_json(j) order by j.fencing_token desc, j.job_id desc), '[]') from (
    select * from orchesjob.job_records r where orchesjob.is_listed(r, filter)
    order by fencing_token desc limit (filter ->> 'most')::int8) j
$$;

CREATE FUNCTION orchesjob.list_members() RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION orchesjob.look_up(wanted text, request text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  holder orchesjob.job_records := orchesjob.newest(wanted);
begin
  if orchesjob.recovery_ms(0) = 0 then
    perform orchesjob.expire(holder);
  end if;
  holder := orchesjob.newest(wanted);
  return jsonb_build_object(
    'newest', case when holder.job_id is not null then orchesjob.to_json(holder) end,
    'requested', (select orchesjob.to_json(j) from orchesjob.requests r join orchesjob.job_records j using (job_id)
      where r.run_key = wanted and r.request_id = request),
    'requested_command', (select command from orchesjob.requests where run_key = wanted and request_id = request),
    'strict_job_id', (select job_id from orchesjob.strict_keys where run_key = wanted),
    'override', orchesjob.may_run_again(wanted),
    'override_reason', (select reason from orchesjob.unlocks where run_key = wanted));
end $$;

CREATE FUNCTION orchesjob.may_run_again(wanted text) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  select exists (select from orchesjob.unlocks
    where run_key = wanted and used_at is null and (expires_at is null or expires_at > clock_timestamp()))
$$;

CREATE FUNCTION orchesjob.newest(wanted text) RETURNS orchesjob.job_records
    LANGUAGE plpgsql STABLE
    AS $$
declare
  found orchesjob.job_records;
begin
  select * into found from orchesjob.job_records where run_key = wanted and holds_key;
  if found.job_id is null then
    -- In these words only one index has the order. With `run_key = wanted` the planner may prefer the one by token, which finds a
    -- key without a history at its end.
    select * into found from orchesjob.job_records where run_key >= wanted and run_key <= wanted
      order by run_key desc, fencing_token desc limit 1;
  end if;
  return found;
end $$;

CREATE FUNCTION orchesjob.output(wanted text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
  select jsonb_build_object('stdout', encode(stdout, 'base64'), 'stderr', encode(stderr, 'base64'),
    'stdout_bytes', stdout_bytes, 'stderr_bytes', stderr_bytes) from orchesjob.outputs where job_id = wanted
$$;

CREATE FUNCTION orchesjob.publish(caller jsonb, entries jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  session jsonb := orchesjob.renew_session(caller, true);
  entry jsonb;
  results jsonb := '[]';
begin
  if session ? 'refused' then
    return session;
  end if;
  for entry in select value from jsonb_array_elements(entries) loop
    results := results || (jsonb_build_object('job_id', entry ->> 'job_id')
      || orchesjob.publish_entry((caller ->> 'member_id')::uuid, (session ->> 'session_id')::int8, entry));
  end loop;
  return jsonb_build_object('results', results, 'session',
    session || jsonb_build_object('epoch', (select epoch from orchesjob.registry)));
end $$;

CREATE FUNCTION orchesjob.publish_entry(speaker uuid, speaking bigint, entry jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
declare
  next jsonb := entry -> 'successor';
  failed orchesjob.job_records;
  made orchesjob.job_records;
  result text;
  is_waiting bool := next ->> 'status' in ('STARTING', 'RUNNING');
  is_held bool;
begin
  if jsonb_typeof(next) is distinct from 'object' then
    return jsonb_build_object('result', orchesjob.publish_job(speaker, speaking, entry));
  end if;
  select * into failed from orchesjob.job_records where job_id = entry ->> 'job_id' for update;
  select * into made from orchesjob.job_records where job_id = next ->> 'job_id';
  if made.job_id is null and is_waiting then
    if failed.holds_key and failed.change > (entry ->> 'change')::int8 then
      -- The member has an older database back. It hears of the change with its next renewal.
      return jsonb_build_object('result', 'later');
    end if;
    if not exists (select from orchesjob.job_records
        where run_key = next ->> 'run_key' and holds_key and job_id <> entry ->> 'job_id') then
      -- As if the member had said a moment ago that the attempt runs: a restored registry may not know it.
      result := orchesjob.publish_job(speaker, speaking, entry || '{"status": "RUNNING", "holds_key": true}');
      if result = 'later' then
        return jsonb_build_object('result', 'later');
      end if;
      select * into failed from orchesjob.job_records where job_id = entry ->> 'job_id';
    end if;
  end if;
  is_held := coalesce(failed.member_id = speaker and failed.holds_key and failed.revoked_at is null, false);
  result := orchesjob.publish_job(speaker, speaking, entry || '{"holds_key": false}');
  if result <> 'published' then
    return jsonb_build_object('result', result);
  end if;
  if made.job_id is null then
    -- What was asked of the failed attempt is asked of the next one. One that never gets the key is no newer than the failed one:
    -- another job may have had the key since.
    insert into orchesjob.job_records (job_id, run_key, fencing_token, attempt_no, status, holds_key, member_id, session_id,
        on_partition, change, job, cancel_request, revoked_at)
      values (next ->> 'job_id', next ->> 'run_key', case when is_held then nextval('orchesjob.fencing_tokens')
          else (entry ->> 'fencing_token')::int8 end, (next ->> 'attempt_no')::int8,
        next ->> 'status', is_waiting and is_held, speaker, speaking, next ->> 'on_partition', (next ->> 'change')::int8, next -> 'job',
        failed.cancel_request, case when is_waiting and not is_held then clock_timestamp() end)
      on conflict (job_id) do nothing;
    select * into strict made from orchesjob.job_records where job_id = next ->> 'job_id';
    update orchesjob.requests set job_id = made.job_id where run_key = made.run_key and job_id = entry ->> 'job_id';
    update orchesjob.strict_keys set job_id = made.job_id where run_key = made.run_key and job_id = entry ->> 'job_id';
    perform orchesjob.publish_job(speaker, speaking, next);
    if is_held and made.cancel_request is not null then
      perform pg_notify('orchesjob_' || md5(speaker::text), '');
    end if;
  end if;
  return jsonb_build_object('result', 'published', 'token', case when made.holds_key or not is_waiting then made.fencing_token end);
end $$;

CREATE FUNCTION orchesjob.publish_job(speaker uuid, speaking bigint, entry jsonb) RETURNS text
    LANGUAGE plpgsql
    AS $$
declare
  known orchesjob.job_records;
  holder orchesjob.job_records;
  is_active bool := entry ->> 'status' in ('STARTING', 'RUNNING');
  holds bool := (entry ->> 'holds_key')::bool;
begin
  select * into known from orchesjob.job_records where job_id = entry ->> 'job_id' for update;
  if known.member_id <> speaker then
    -- A state directory that was copied has the jobs of the other one.
    return 'published';
  end if;
  if known.session_id <> speaking and known.holds_key and exists (select from orchesjob.sessions s
      join orchesjob.member_records m using (member_id)
      where s.session_id = known.session_id and s.ended_at is null and not orchesjob.is_over(s.lease_until, m.lease_ms)) then
    return 'later';
  end if;
  if known.job_id is not null and known.change > (entry ->> 'change')::int8 then
    return 'published';
  end if;
  if known.revoked_at is not null and is_active then
    return 'revoked';
  end if;
  if known.revoked_at is not null or known.status in ('SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED') then
    -- A final status stands. What the member says later is kept beside it.
    update orchesjob.job_records set change = (entry ->> 'change')::int8, revoked_at = null, session_id = speaking,
      holds_key = known.holds_key and holds, published_at = clock_timestamp(),
      late = case when known.status = 'LOST' and known.job ->> 'lostReason' = 'host_unreachable' then entry -> 'job' end,
      status = case when known.status in ('STARTING', 'RUNNING') then entry ->> 'status' else known.status end,
      -- Of a loss that its member has found itself it may tell more: what became of the processes.
      job = case when known.status = 'LOST' and (entry ->> 'status' <> 'LOST' or known.job ->> 'lostReason' = 'host_unreachable')
        then known.job else entry -> 'job' end
      where job_id = known.job_id;
  else
    if holds then
      select * into holder from orchesjob.job_records
        where run_key = entry ->> 'run_key' and holds_key and job_id <> entry ->> 'job_id' for update;
      if holder.job_id is not null and holder.fencing_token < (entry ->> 'fencing_token')::int8 then
        -- The older token keeps the key.
        if not is_active then
          holds := false;
        elsif holder.member_id = speaker then
          -- A member has one active job of a key at most, so this one has ended there, and the member must say how.
          update orchesjob.job_records set holds_key = false, revoked_at = clock_timestamp() where job_id = holder.job_id;
        else
          perform orchesjob.put_job(speaker, speaking, entry, false);
          update orchesjob.job_records set revoked_at = clock_timestamp() where job_id = entry ->> 'job_id';
          return 'revoked';
        end if;
      elsif holder.job_id is not null then
        update orchesjob.job_records set holds_key = false, revoked_at = clock_timestamp() where job_id = holder.job_id;
        perform pg_notify('orchesjob_' || md5(holder.member_id::text), '');
      end if;
    end if;
    perform orchesjob.put_job(speaker, speaking, entry, holds);
  end if;
  if not is_active then
    perform orchesjob.put_output(entry ->> 'job_id', entry -> 'output');
  end if;
  -- Notifying makes commits wait for each other.
  if known.is_awaited then
    perform pg_notify('orchesjob_' || md5(entry ->> 'job_id'), '');
  end if;
  if entry -> 'request_ids' <> '[]' then
    insert into orchesjob.requests select entry ->> 'run_key', value, entry ->> 'job_id'
      from jsonb_array_elements_text(entry -> 'request_ids') on conflict do nothing;
  end if;
  if (entry ->> 'strict')::bool then
    insert into orchesjob.strict_keys values (entry ->> 'run_key', entry ->> 'job_id') on conflict do nothing;
  end if;
  return 'published';
end $$;

CREATE FUNCTION orchesjob.put_job(speaker uuid, speaking bigint, entry jsonb, holds boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  insert into orchesjob.job_records (job_id, run_key, fencing_token, attempt_no, status, holds_key, member_id, session_id,
      on_partition, is_unstoppable, change, job)
    values (entry ->> 'job_id', entry ->> 'run_key', (entry ->> 'fencing_token')::int8, (entry ->> 'attempt_no')::int8,
      entry ->> 'status', holds, speaker, speaking, entry ->> 'on_partition', (entry ->> 'is_unstoppable')::bool,
      (entry ->> 'change')::int8, entry -> 'job')
    on conflict (job_id) do update set status = excluded.status, holds_key = excluded.holds_key, change = excluded.change,
      session_id = excluded.session_id, is_unstoppable = excluded.is_unstoppable, job = excluded.job,
      published_at = clock_timestamp();
end $$;

CREATE FUNCTION orchesjob.put_output(owner text, output jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  if jsonb_typeof(output) is distinct from 'object' then
    return;
  end if;
  insert into orchesjob.outputs
    values (owner, decode(output ->> 'stdout', 'base64'), decode(output ->> 'stderr', 'base64'),
      (output ->> 'stdout_bytes')::int8, (output ->> 'stderr_bytes')::int8)
    on conflict (job_id) do update set stdout = excluded.stdout, stderr = excluded.stderr,
      stdout_bytes = excluded.stdout_bytes, stderr_bytes = excluded.stderr_bytes;
end $$;

CREATE FUNCTION orchesjob.raise_tokens(floor_token bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  last int8 := (select last_value from orchesjob.fencing_tokens);
begin
  if floor_token >= last then
    perform setval('orchesjob.fencing_tokens', greatest(floor_token, last) + 1048576);
  end if;
end $$;

CREATE FUNCTION orchesjob.recovery_ms(known bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
  return orchesjob.left_of_recovery(orchesjob.check_registry(known));
end $$;

CREATE FUNCTION orchesjob.renew(caller jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  session jsonb := orchesjob.renew_session(caller, false);
begin
  if session ? 'refused' then
    return session;
  end if;
  update orchesjob.member_records set unpublished = (caller ->> 'unpublished')::int8, version = caller ->> 'version'
    where member_id = (caller ->> 'member_id')::uuid
      and (unpublished, version) is distinct from ((caller ->> 'unpublished')::int8, caller ->> 'version');
  -- Former boots of the host, which hold nothing any more.
  update orchesjob.sessions s set ended_at = clock_timestamp() where member_id = (caller ->> 'member_id')::uuid
    and ended_at is null and session_id <> (session ->> 'session_id')::int8
    and orchesjob.is_over(lease_until, (session ->> 'member_lease_ms')::int4)
    and not exists (select from orchesjob.job_records j where j.member_id = s.member_id and j.session_id = s.session_id and holds_key);
  return session || jsonb_build_object(
    'recovery_ms', orchesjob.recovery_ms((caller ->> 'epoch')::int8),
    'epoch', (select epoch from orchesjob.registry),
    'holds', (select coalesce(jsonb_agg(jsonb_build_object('job_id', job_id, 'change', change, 'cancel_request', cancel_request)), '[]')
      from orchesjob.job_records where member_id = (caller ->> 'member_id')::uuid and holds_key),
    'revoked', (select coalesce(jsonb_agg(job_id), '[]')
      from orchesjob.job_records where member_id = (caller ->> 'member_id')::uuid and revoked_at is not null));
end $$;

CREATE FUNCTION orchesjob.renew_session(caller jsonb, only_if_needed boolean) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
declare
  member orchesjob.member_records;
  mine orchesjob.sessions;
  other orchesjob.sessions;
  known int8 := (caller ->> 'session_id')::int8;
  is_forgotten bool := false;
  fresh jsonb;
  extension_ms int4;
begin
  perform orchesjob.commit_durably();
  if only_if_needed then
    -- Nearly every claim and publication ends here: one statement, because each costs a transaction some 20 microseconds.
    select jsonb_build_object('session_id', s.session_id, 'beat', s.beat, 'lease_ms', 0, 'name', m.name,
        'member_lease_ms', m.lease_ms) into fresh
      from orchesjob.sessions s join orchesjob.member_records m using (member_id)
      where s.session_id = (caller ->> 'session_id')::int8 and s.member_id = (caller ->> 'member_id')::uuid
        and s.boot_id = caller ->> 'boot_id' and s.ended_at is null and s.beat >= (caller ->> 'beat')::int8 and m.left_at is null
        and s.lease_until >= clock_timestamp() + make_interval(secs => m.lease_ms / 2000.0)
        and not exists (select from orchesjob.sessions o
          where o.member_id = s.member_id and o.session_id <> s.session_id and o.ended_at is null);
    if fresh is not null then
      return fresh;
    end if;
  end if;
  select * into member from orchesjob.member_records where member_id = (caller ->> 'member_id')::uuid;
  if member.member_id is null or member.left_at is not null then
    return jsonb_build_object('refused', case when member.member_id is null then 'unknown' else 'left' end);
  end if;
  select * into mine from orchesjob.sessions
    where member_id = member.member_id and boot_id = caller ->> 'boot_id' and ended_at is null;
  -- The registry went back in time: it has forgotten a session or a renewal that it had acknowledged.
  if known = mine.session_id then
    is_forgotten := mine.beat < (caller ->> 'beat')::int8;
  elsif known > 0 then
    is_forgotten := not exists (select from orchesjob.sessions where session_id = known);
  end if;
  if is_forgotten then
    perform orchesjob.begin_recovery((caller ->> 'epoch')::int8, 'the registry has forgotten a renewal of member ' || member.name);
  end if;
  select * into other from orchesjob.sessions
    where member_id = member.member_id and boot_id <> caller ->> 'boot_id' and ended_at is null
    order by renewed_at desc limit 1;
  -- Another machine, or two boots that are renewed in turn. A host that was started anew renews its former session no more.
  if other.session_id is not null and (other.machine_id <> caller ->> 'machine_id' and exists (
      select from orchesjob.job_records j where j.member_id = other.member_id and j.session_id = other.session_id and holds_key)
    or other.lease_until > clock_timestamp() and (
    (mine.session_id is null and other.machine_id <> caller ->> 'machine_id')
    or other.renewed_at > mine.started_at and (other.started_at < mine.started_at or mine.lease_until < clock_timestamp())
  )) then
    return jsonb_build_object('refused', 'cloned', 'host', other.host, 'boot_id', other.boot_id, 'machine_id', other.machine_id,
      'wait_ms', ceil(extract(epoch from other.lease_until - clock_timestamp()) * 1000));
  end if;
  if mine.session_id is null then
    insert into orchesjob.sessions (member_id, boot_id, machine_id, host, lease_until)
      values (member.member_id, caller ->> 'boot_id', caller ->> 'machine_id', caller ->> 'host',
        clock_timestamp() + make_interval(secs => member.lease_ms / 1000.0))
      on conflict (member_id, boot_id) where ended_at is null
        do update set renewed_at = clock_timestamp(), beat = orchesjob.sessions.beat + 1, lease_until = excluded.lease_until
      returning * into mine;
  elsif not only_if_needed or mine.session_id <> known
    or mine.lease_until < clock_timestamp() + make_interval(secs => member.lease_ms / 2000.0) then
    update orchesjob.sessions set renewed_at = clock_timestamp(), beat = beat + 1, host = caller ->> 'host',
      address = inet_client_addr(), lease_until = clock_timestamp() + make_interval(secs => member.lease_ms / 1000.0)
      where session_id = mine.session_id and ended_at is null returning * into mine;
    -- Somebody ended it in this moment.
    if mine.session_id is null then
      return orchesjob.renew_session(caller, only_if_needed);
    end if;
  else
    extension_ms := 0;
  end if;
  return jsonb_build_object('session_id', mine.session_id, 'beat', mine.beat,
    'lease_ms', coalesce(extension_ms, member.lease_ms), 'name', member.name, 'member_lease_ms', member.lease_ms);
end $$;

CREATE FUNCTION orchesjob.request_cancel(cancelled text, request jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  wanted orchesjob.job_records;
begin
  perform orchesjob.commit_durably();
  update orchesjob.job_records set cancel_request = coalesce(cancel_request, request)
    where job_id = cancelled and holds_key returning * into wanted;
  if wanted.job_id is null then
    select * into wanted from orchesjob.job_records where job_id = cancelled;
  else
    perform pg_notify('orchesjob_' || md5(wanted.member_id::text), '');
  end if;
  return case when wanted.job_id is not null then orchesjob.to_json(wanted) end;
end $$;

CREATE FUNCTION orchesjob.server_identity() RETURNS text
    LANGUAGE plpgsql
    AS $$
declare
  -- The first two never change for a connection that can write, and to read them opens a file of the server.
  cluster text := current_setting('orchesjob.cluster', true);
begin
  if coalesce(cluster, '') = '' then
    select system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) into cluster from pg_control_system();
    perform set_config('orchesjob.cluster', cluster, false);
  end if;
  return cluster || '/' || 'orchesjob.registry'::regclass::oid;
end $$;

CREATE FUNCTION orchesjob.to_json(found orchesjob.job_records) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $$
declare
  m orchesjob.member_records;
  s orchesjob.sessions;
begin
  select * into m from orchesjob.member_records where member_id = found.member_id;
  select * into s from orchesjob.sessions where session_id = found.session_id;
  return jsonb_build_object('job', found.job || jsonb_build_object('status', found.status, 'attemptNo', found.attempt_no,
      'fencingToken', found.fencing_token, 'onPartition', found.on_partition),
    'member_id', found.member_id, 'member', m.name, 'host', s.host, 'state_directory', m.state_directory,
    'holds_key', found.holds_key, 'revoked', found.revoked_at is not null, 'is_unstoppable', found.is_unstoppable,
    'silent_ms', greatest(0, round(extract(epoch from clock_timestamp() - s.lease_until) * 1000)),
    'as_of', round(extract(epoch from case when found.status in ('STARTING', 'RUNNING')
      then greatest(found.published_at, s.renewed_at) else found.published_at end) * 1000000)::int8);
end $$;

CREATE FUNCTION orchesjob.token_floor() RETURNS bigint
    LANGUAGE sql
    AS $$
  select floor(extract(epoch from clock_timestamp()) / 60)::int8 << 24
$$;

CREATE FUNCTION orchesjob.unlock(key text, why text, ttl_ms bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform orchesjob.commit_durably();
  insert into orchesjob.unlocks (run_key, allowed_at, reason, expires_at)
    values (key, clock_timestamp(), why, clock_timestamp() + make_interval(secs => ttl_ms / 1000.0))
    on conflict (run_key) do update set allowed_at = excluded.allowed_at, used_at = null, reason = excluded.reason,
      expires_at = excluded.expires_at;
end $$;

CREATE FUNCTION orchesjob.withdraw(caller jsonb, withdrawn text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  known_change int8;
begin
  perform orchesjob.commit_durably();
  if not exists (select from orchesjob.job_records j join orchesjob.sessions s using (session_id)
      join orchesjob.member_records m on m.member_id = j.member_id
      where j.job_id = withdrawn and (s.boot_id = caller ->> 'boot_id' or orchesjob.is_over(s.lease_until, m.lease_ms))) then
    return;
  end if;
  update orchesjob.job_records set status = 'LOST', holds_key = false, published_at = clock_timestamp(), revoked_at = null,
    job = job || jsonb_build_object('status', 'LOST', 'lostReason', case change when 0 then 'start_interrupted' else 'unknown' end,
      'finishedAt', floor(extract(epoch from clock_timestamp()) * 1000000)::int8)
    where job_id = withdrawn and member_id = (caller ->> 'member_id')::uuid
      and (holds_key or revoked_at is not null)
    returning change into known_change;
  -- A job that never existed for its caller uses up no request id, and no strict key.
  if known_change = 0 then
    delete from orchesjob.requests where job_id = withdrawn;
    delete from orchesjob.strict_keys where job_id = withdrawn;
  end if;
  if known_change is not null then
    perform pg_notify('orchesjob_' || md5(withdrawn), '');
  end if;
end $$;

CREATE TABLE orchesjob.cleanings (
    question uuid NOT NULL,
    answer jsonb NOT NULL,
    answered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE SEQUENCE orchesjob.fencing_tokens
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE orchesjob.member_records (
    member_id uuid NOT NULL,
    name text NOT NULL,
    lease_ms integer NOT NULL,
    on_partition text NOT NULL,
    state_directory text NOT NULL,
    version text NOT NULL,
    unpublished bigint DEFAULT 0 NOT NULL,
    joined_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    left_at timestamp with time zone,
    forgotten_at timestamp with time zone,
    forgotten_reason text,
    CONSTRAINT member_records_lease_ms_check CHECK ((lease_ms > 0)),
    CONSTRAINT member_records_on_partition_check CHECK ((on_partition = ANY (ARRAY['continue'::text, 'stop'::text])))
);

CREATE TABLE orchesjob.sessions (
    session_id bigint NOT NULL,
    member_id uuid NOT NULL,
    boot_id text NOT NULL,
    machine_id text NOT NULL,
    host text NOT NULL,
    address inet DEFAULT inet_client_addr(),
    beat bigint DEFAULT 1 NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    renewed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);

CREATE VIEW orchesjob.jobs AS
 SELECT j.run_key,
    j.job_id,
    j.status,
    j.attempt_no,
    j.fencing_token,
    m.name AS member,
    s.host,
    j.holds_key,
    j.on_partition,
    to_timestamp((((((j.job ->> 'startedAt'::text))::bigint)::numeric / 1000000.0))::double precision) AS started_at,
    to_timestamp((((((j.job ->> 'finishedAt'::text))::bigint)::numeric / 1000000.0))::double precision) AS finished_at,
    ((j.job ->> 'exitCode'::text))::integer AS exit_code,
    (j.job ->> 'signal'::text) AS signal,
    (j.job ->> 'error'::text) AS error,
    (j.job ->> 'failure'::text) AS failure,
    (j.job ->> 'lostReason'::text) AS lost_reason,
    (j.job -> 'command'::text) AS command,
    (j.job ->> 'cwd'::text) AS cwd,
    (j.job -> 'labels'::text) AS labels,
    (j.job ->> 'requestId'::text) AS request_id,
        CASE
            WHEN (j.status = ANY (ARRAY['STARTING'::text, 'RUNNING'::text])) THEN GREATEST(j.published_at, s.renewed_at)
            ELSE j.published_at
        END AS as_of,
    (j.late ->> 'status'::text) AS late_status,
    (j.job #>> '{retry,ofJobId}'::text[]) AS retry_of_job_id
   FROM ((orchesjob.job_records j
     JOIN orchesjob.member_records m USING (member_id))
     JOIN orchesjob.sessions s USING (session_id));

CREATE VIEW orchesjob.members AS
 SELECT m.name AS member,
    s.host,
    host(s.address) AS address,
    m.state_directory,
    m.version,
    m.on_partition,
    ((m.lease_ms)::numeric / 1000.0) AS lease_seconds,
    s.lease_until,
    s.renewed_at,
    m.unpublished,
    m.joined_at,
    m.left_at,
    m.forgotten_at,
    m.forgotten_reason,
    ( SELECT count(*) AS count
           FROM orchesjob.job_records j
          WHERE ((j.member_id = m.member_id) AND j.holds_key)) AS active_jobs
   FROM (orchesjob.member_records m
     LEFT JOIN LATERAL ( SELECT sessions.session_id,
            sessions.member_id,
            sessions.boot_id,
            sessions.machine_id,
            sessions.host,
            sessions.address,
            sessions.beat,
            sessions.started_at,
            sessions.renewed_at,
            sessions.lease_until,
            sessions.ended_at
           FROM orchesjob.sessions
          WHERE (sessions.member_id = m.member_id)
          ORDER BY sessions.renewed_at DESC
         LIMIT 1) s ON (true));

CREATE TABLE orchesjob.outputs (
    job_id text NOT NULL COLLATE pg_catalog."C",
    stdout bytea NOT NULL,
    stderr bytea NOT NULL,
    stdout_bytes bigint NOT NULL,
    stderr_bytes bigint NOT NULL
);

CREATE TABLE orchesjob.requests (
    run_key text NOT NULL COLLATE pg_catalog."C",
    request_id text NOT NULL,
    job_id text NOT NULL COLLATE pg_catalog."C",
    command jsonb
);

ALTER TABLE orchesjob.sessions ALTER COLUMN session_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME orchesjob.sessions_session_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE orchesjob.strict_keys (
    run_key text NOT NULL COLLATE pg_catalog."C",
    job_id text NOT NULL
);

CREATE TABLE orchesjob.unlocks (
    run_key text NOT NULL COLLATE pg_catalog."C",
    allowed_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    reason text,
    expires_at timestamp with time zone
);

ALTER TABLE ONLY orchesjob.cleanings
    ADD CONSTRAINT cleanings_pkey PRIMARY KEY (question);

ALTER TABLE ONLY orchesjob.job_records
    ADD CONSTRAINT job_records_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY orchesjob.member_records
    ADD CONSTRAINT member_records_pkey PRIMARY KEY (member_id);

ALTER TABLE ONLY orchesjob.outputs
    ADD CONSTRAINT outputs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY orchesjob.registry
    ADD CONSTRAINT registry_pkey PRIMARY KEY (one);

ALTER TABLE ONLY orchesjob.requests
    ADD CONSTRAINT requests_pkey PRIMARY KEY (run_key, request_id);

ALTER TABLE ONLY orchesjob.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY orchesjob.strict_keys
    ADD CONSTRAINT strict_keys_pkey PRIMARY KEY (run_key);

ALTER TABLE ONLY orchesjob.unlocks
    ADD CONSTRAINT unlocks_pkey PRIMARY KEY (run_key);

CREATE INDEX by_time ON orchesjob.job_records USING btree (fencing_token DESC);

CREATE INDEX finished_jobs ON orchesjob.job_records USING btree ((((job ->> 'finishedAt'::text))::bigint)) WHERE (NOT holds_key);

CREATE INDEX key_history ON orchesjob.job_records USING btree (run_key, fencing_token);

CREATE UNIQUE INDEX key_holders ON orchesjob.job_records USING btree (run_key) WHERE holds_key;

CREATE INDEX member_holds ON orchesjob.job_records USING btree (member_id) WHERE (holds_key OR (revoked_at IS NOT NULL));

CREATE UNIQUE INDEX member_names ON orchesjob.member_records USING btree (name) WHERE (left_at IS NULL);

CREATE UNIQUE INDEX open_sessions ON orchesjob.sessions USING btree (member_id, boot_id) WHERE (ended_at IS NULL);

CREATE INDEX request_jobs ON orchesjob.requests USING btree (job_id);

CREATE UNIQUE INDEX successions ON orchesjob.job_records USING btree (run_key, after_token) WHERE (after_token IS NOT NULL);

ALTER TABLE ONLY orchesjob.outputs
    ADD CONSTRAINT outputs_job_id_fkey FOREIGN KEY (job_id) REFERENCES orchesjob.job_records(job_id) ON DELETE CASCADE;

ALTER TABLE ONLY orchesjob.sessions
    ADD CONSTRAINT sessions_member_id_fkey FOREIGN KEY (member_id) REFERENCES orchesjob.member_records(member_id);
