-- When a log reached its --max-log-bytes, and how many bytes are in no log.
alter table job_records add column log_limit_at integer;
alter table job_records add column log_dropped_bytes integer;
