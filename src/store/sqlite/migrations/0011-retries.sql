-- What was asked for with --retries, and which attempt of the run this job is. One column, because every reader of a job pays for
-- each: {"retries", "delayMs", "backoff", "maxDelayMs", "on", "number": attempts before this one, "ofJobId": the attempt before,
-- "at": when this attempt may begin, "nextJobId": the attempt after}.
alter table job_records add column retry text;
