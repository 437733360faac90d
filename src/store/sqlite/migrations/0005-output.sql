-- Where the command's output goes first, and where its input comes from.
alter table jobs add column output text;   -- pipe; null: file
alter table jobs add column stdin text;    -- absolute path; '-': what the caller gave, kept as logs/<job_id>.stdin; null: nothing
