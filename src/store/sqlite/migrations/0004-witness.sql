-- How the processes of a job are recognized, and which of them have outlived a job that was ended early.
alter table jobs add column token text;             -- secret: only the job's own processes have it, in their environment
alter table jobs add column target_inode integer;   -- of the target's pidfd: unique for the boot; null: the kernel has none
alter table jobs add column left_behind text;       -- JSON array of {pid, start, inode}; []: proof that none lives; null: not known
