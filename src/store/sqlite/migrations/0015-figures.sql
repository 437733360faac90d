-- The order of the index stays; what it has beside it lets figures.ts count and choose finished jobs without reading their rows.
drop index jobs_finished;
create index jobs_finished on job_records (coalesce(finished_at, started_at), seq, started_at, status, run_key)
  where status not in ('STARTING', 'RUNNING');
