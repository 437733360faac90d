-- The table gets another name, and `jobs` becomes a view of it (see public-views.ts): whoever reads it finds what was there,
-- and the Python orchesjob, which takes a table `jobs` for its own and would rebuild it, cannot.
drop trigger if exists jobs_python_result;
drop trigger if exists jobs_python_final;
alter table jobs rename to job_records;
-- What declares its type as the Python orchesjob 1.1 wants it: it finds nothing to rebuild then.
alter table job_records add column finished_at_integer integer generated always as (cast(finished_at as integer)) virtual;
alter table strict_overrides rename to unlocks;
-- A Python orchesjob that somebody called here may have left them; they become views, too.
drop table if exists run_keys;
drop table if exists schema_meta;
