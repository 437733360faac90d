-- Who answers: the cluster, its timeline (a promotion begins a new one), and the table (a restored dump has another).
create function orchesjob.server_identity() returns text language plpgsql as $$
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

-- Tokens grow from here, whatever the sequence has lost. 2^24 tokens a minute are more than any server grants.
create function orchesjob.raise_tokens(floor_token int8) returns void language plpgsql as $$
declare
  last int8 := (select last_value from orchesjob.fencing_tokens);
begin
  if floor_token >= last then
    perform setval('orchesjob.fencing_tokens', greatest(floor_token, last) + 1048576);
  end if;
end $$;

create function orchesjob.token_floor() returns int8 language sql volatile as $$
  select floor(extract(epoch from clock_timestamp()) / 60)::int8 << 24
$$;

-- An epoch is also the time at which it began, in seconds, so that one after a restored copy is never one that members know.
-- The registry may have lost what it had acknowledged: no claim is granted for the longest lease, and all members publish again.
-- `known`: the epoch that the caller knows, or 0.
create function orchesjob.begin_recovery(known int8, reason text) returns void language plpgsql as $$
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

-- The registry's state. Begins a recovery if another server answers than before, or if the registry has gone back in time.
create function orchesjob.check_registry(known int8) returns orchesjob.registry language plpgsql as $$
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

-- Milliseconds until claims are granted again; 0: they are.
create function orchesjob.left_of_recovery(state orchesjob.registry) returns int8 language plpgsql as $$
begin
  return greatest(0, ceil(extract(epoch from state.recovery_until - clock_timestamp()) * 1000))::int8;
end $$;

create function orchesjob.recovery_ms(known int8) returns int8 language plpgsql as $$
begin
  return orchesjob.left_of_recovery(orchesjob.check_registry(known));
end $$;

-- Whether a lease is over for the rest of the fleet: after the lease the same time again, and that since the server's start, too,
-- because its clock may be another one since.
create function orchesjob.is_over(lease_until timestamptz, lease_ms int4) returns bool language sql volatile as $$
  select clock_timestamp() > lease_until + make_interval(secs => lease_ms / 1000.0)
    and clock_timestamp() > pg_postmaster_start_time() + make_interval(secs => 2 * lease_ms / 1000.0)
$$;

-- Makes the commit of this transaction durable, also on a synchronous standby, whatever a role or a database has as its default.
-- Never lowers it.
create function orchesjob.commit_durably() returns void language plpgsql as $$
begin
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end $$;

-- Renews the member's session, or begins one. Returns its row as JSON, or {"refused": why, ...}.
-- `caller`: member_id, boot_id, machine_id, host, session_id, beat, epoch: the last three as it last heard them, or 0.
create function orchesjob.renew_session(caller jsonb, only_if_needed bool) returns jsonb language plpgsql as $$
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

-- Ends a session whose lease is over, or whose host a person has declared dead, and frees the keys that may be freed.
create function orchesjob.end_session(ending int8, is_dead bool) returns void language plpgsql as $$
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

-- The agent's renewal: the session, and what its member must know.
create function orchesjob.renew(caller jsonb) returns jsonb language plpgsql security definer as $$
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

create function orchesjob.join_fleet(member jsonb) returns jsonb language plpgsql security definer as $$
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

create function orchesjob.leave_fleet(leaving uuid) returns jsonb language plpgsql security definer as $$
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

-- A person says that the host of a member is dead: its keys are free.
create function orchesjob.forget_member(forgotten text, reason text) returns jsonb language plpgsql security definer as $$
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
