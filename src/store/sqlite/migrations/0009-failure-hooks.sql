-- The shell command that runs once the job's end is recorded, if the job has not SUCCEEDED, and how it ended. As JSON,
-- because every reader of a job pays for each column.
alter table job_records add column on_failure text;        -- {"command": …, "timeoutMs": …}
alter table job_records add column on_failure_result text; -- {"exitCode": …, "error": …, "finishedAt": …}; null: not due, has yet to run, or to be recorded
