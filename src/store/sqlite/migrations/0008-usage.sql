-- What the command has used, as the kernel has counted it; null: not known.
alter table job_records add column cpu_seconds real;
alter table job_records add column max_rss_bytes integer;
alter table job_records add column io_read_bytes integer;
alter table job_records add column io_write_bytes integer;
