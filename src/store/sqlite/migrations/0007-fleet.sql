-- The token by which targets refuse an older job, and what a fleet has to know (see publications.ts).
alter table job_records add column fencing_token integer;
alter table job_records add column on_partition text;   -- continue, stop; null: accepted outside of a fleet
