-- What was asked for with a retry token that was bound to a job that was active already, as JSON: the same token with another
-- command is a mistake of its caller. Null: the job was accepted for the token, or an older version has bound it.
alter table requests add column command text;
