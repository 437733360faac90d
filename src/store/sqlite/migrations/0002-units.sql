-- Units of systemd: whether the job gets a scope of its own, the properties for it, and its name once the worker is in it.
alter table jobs add column scope text;        -- always, never; null: auto
alter table jobs add column properties text;   -- JSON array of the NAME=VALUE that were asked for
alter table jobs add column unit text;
