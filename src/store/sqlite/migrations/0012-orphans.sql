-- What became of the processes that a lost job had left: when the last of them ended, and how the command did.
alter table job_records add column orphan_ended_at integer;
alter table job_records add column orphan_exit_code integer;
alter table job_records add column orphan_signal text;
