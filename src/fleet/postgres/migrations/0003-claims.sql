-- A job for members other than its own: its record, its member and what the registry adds.
-- plpgsql keeps its plans for the connection; a function in SQL is planned with each call.
create function orchesjob.to_json(found orchesjob.job_records) returns jsonb language plpgsql stable as $$
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

-- The job of a key that counts: the one that holds it, otherwise the newest. After a recovery the holder may be the older one.
create function orchesjob.newest(wanted text) returns orchesjob.job_records language plpgsql stable as $$
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

create function orchesjob.may_run_again(wanted text) returns bool language sql stable as $$
  select exists (select from orchesjob.unlocks
    where run_key = wanted and used_at is null and (expires_at is null or expires_at > clock_timestamp()))
$$;

-- Frees the key of a job whose member is silent, if its policy allows that.
create function orchesjob.expire(holder orchesjob.job_records) returns void language plpgsql as $$
begin
  if holder.holds_key and holder.on_partition = 'stop' and not holder.is_unstoppable then
    perform orchesjob.end_session(s.session_id, false) from orchesjob.sessions s join orchesjob.member_records m using (member_id)
      where s.session_id = holder.session_id and s.ended_at is null and orchesjob.is_over(s.lease_until, m.lease_ms);
  end if;
end $$;

-- What a start must know of a key: its newest job, the job of the request id, whether it is strict, why it may run once more.
create function orchesjob.look_up(wanted text, request text) returns jsonb language plpgsql security definer as $$
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

create function orchesjob.grant_answer(granted orchesjob.job_records, session jsonb) returns jsonb language plpgsql as $$
begin
  return jsonb_build_object('granted', true, 'fencing_token', granted.fencing_token, 'attempt_no', granted.attempt_no,
    'on_partition', granted.on_partition, 'session', session);
end $$;

-- Accepts a job: it gets the key, the next attempt number and a token. Asking again with the same job id gives the same answer.
-- `claim`: job_id, run_key, attempt_no (of the member's newest job of the key, or 0), expected (id of the newest job, or null),
-- strict, use_override, request_id, on_partition, job.
create function orchesjob.claim(caller jsonb, claim jsonb) returns jsonb language plpgsql security definer as $$
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

-- A job that its member does not know, and whose lock nobody holds: a claim of which nothing became, or a job that an older
-- database of the member has forgotten.
-- Only a session speaks for its jobs, until it is over: the caller may be a copy of the directory that runs them.
create function orchesjob.withdraw(caller jsonb, withdrawn text) returns void language plpgsql security definer as $$
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

create function orchesjob.bind_request(key text, request text, bound text, asked jsonb) returns void
language plpgsql security definer as $$
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

create function orchesjob.unlock(key text, why text, ttl_ms int8) returns void
language plpgsql security definer as $$
begin
  perform orchesjob.commit_durably();
  insert into orchesjob.unlocks (run_key, allowed_at, reason, expires_at)
    values (key, clock_timestamp(), why, clock_timestamp() + make_interval(secs => ttl_ms / 1000.0))
    on conflict (run_key) do update set allowed_at = excluded.allowed_at, used_at = null, reason = excluded.reason,
      expires_at = excluded.expires_at;
end $$;

-- Asks the member of an active job to cancel it. Returns the job; null if there is none.
create function orchesjob.request_cancel(cancelled text, request jsonb) returns jsonb language plpgsql security definer as $$
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
