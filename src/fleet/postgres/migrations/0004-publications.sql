-- Takes over what a member says about its jobs. Each entry is safe to repeat, and an older one never replaces a newer one.
-- Returns for each entry {"job_id", "result"}: "published"; "revoked": its key was given away, so its member must end it;
-- "later": it belongs to a session that is not over, so nobody else may speak for it.
-- An entry: job_id, run_key, fencing_token, attempt_no, status, holds_key, on_partition, is_unstoppable, change, job,
-- request_ids, strict, output (stdout, stderr in base64, stdout_bytes, stderr_bytes), or null.
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
    results := results || jsonb_build_object('job_id', entry ->> 'job_id',
      'result', orchesjob.publish_job((caller ->> 'member_id')::uuid, (session ->> 'session_id')::int8, entry));
  end loop;
  return jsonb_build_object('results', results, 'session',
    session || jsonb_build_object('epoch', (select epoch from orchesjob.registry)));
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
      job = case when known.status = 'LOST' then known.job else entry -> 'job' end
      where job_id = known.job_id;
  else
    if holds then
      select * into holder from orchesjob.job_records
        where run_key = entry ->> 'run_key' and holds_key and job_id <> entry ->> 'job_id' for update;
      if holder.job_id is not null and holder.fencing_token < (entry ->> 'fencing_token')::int8 then
        -- The older token keeps the key.
        if not is_active then
          holds := false;
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
