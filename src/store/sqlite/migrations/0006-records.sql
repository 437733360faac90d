-- The table gets another name, and `jobs` becomes a view of it (see public-views.ts). Readers find what was there. The Python
-- orchesjob, which would rebuild a table `jobs` as its own, cannot.
drop trigger if exists jobs_python_result;
drop trigger if exists jobs_python_final;
alter table jobs rename to job_records;
-- A column with the type that the Python orchesjob 1.1 looks for: so it finds nothing to rebuild.
alter table job_records add column finished_at_integer integer generated always as (cast(finished_at as integer)) virtual;
alter table strict_overrides rename to unlocks;
-- If somebody called a Python orchesjob here, it may have left these tables; they become views, too.
drop table if exists run_keys;
drop table if exists schema_meta;
