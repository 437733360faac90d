-- What a job may do beside its time limit, as JSON (see job/limits.ts), and since when it is stalled.
alter table job_records add column limits text;
alter table job_records add column stalled_since integer;
