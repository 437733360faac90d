-- Takes over what a member says about its jobs. Each entry is safe to repeat, and an older one never replaces a newer one.
-- Returns for each entry {"job_id", "result"}: "published"; "revoked": its key was given away, so its member must end it;
-- "later": it belongs to a session that is not over, so nobody else may speak for it. With a successor also "token".
-- An entry: job_id, run_key, fencing_token, attempt_no, status, holds_key, on_partition, is_unstoppable, change, job,
-- request_ids, strict, output (stdout, stderr in base64, stdout_bytes, stderr_bytes) or null, successor: an entry or null.
create function orchesjob.publish(caller jsonb, entries jsonb) returns jsonb language plpgsql security definer as $$
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

-- With a successor: an attempt has failed, and the next one takes its key over. Nobody sees a state in between. Returns the token
-- of the successor; null: the failed attempt does not hold the key any more, so the member must end the successor.
create function orchesjob.publish_entry(speaker uuid, speaking int8, entry jsonb) returns jsonb language plpgsql as $$
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

create function orchesjob.publish_job(speaker uuid, speaking int8, entry jsonb) returns text language plpgsql as $$
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

create function orchesjob.put_job(speaker uuid, speaking int8, entry jsonb, holds bool) returns void language plpgsql as $$
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

create function orchesjob.put_output(owner text, output jsonb) returns void language plpgsql as $$
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
