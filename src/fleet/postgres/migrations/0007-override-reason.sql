-- What a start must know of a key: its newest job, the job of the request id, whether it is strict, and why it may run again.
create or replace function orchesjob.look_up(wanted text, request text) returns jsonb language plpgsql security definer as $$
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
    'strict_job_id', (select job_id from orchesjob.strict_keys where run_key = wanted),
    'override', orchesjob.may_run_again(wanted),
    'override_reason', (select reason from orchesjob.unlocks where run_key = wanted));
end $$;
