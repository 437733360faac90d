-- The shell command that runs once the job's end is recorded, and how it ended.
alter table jobs add column on_exit text;
alter table jobs add column on_exit_timeout_ms integer;
alter table jobs add column on_exit_code integer;
alter table jobs add column on_exit_error text;
alter table jobs add column on_exit_finished_at integer; -- null: it has yet to run, or to be recorded
