-- The token by which targets refuse an older job, and what a fleet has to know (see publications.ts).
alter table job_records add column fencing_token integer;
alter table job_records add column on_partition text;   -- continue, stop; null: accepted outside of a fleet
-- What the registry of a fleet has to hear: a job's count of changes, and the count that the registry has. Filled only in a fleet.
create table publications (
  job_id text primary key,
  change integer not null,
  published integer not null
) strict, without rowid;
create index unpublished on publications (job_id) where change > published;
