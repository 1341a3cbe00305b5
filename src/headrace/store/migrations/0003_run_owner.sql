-- Who works on a run, when that was last said, and which variables of the environment the run was given.

ALTER TABLE run ADD COLUMN owner TEXT;
ALTER TABLE run ADD COLUMN heartbeat_at TEXT;
ALTER TABLE run ADD COLUMN environment_names TEXT NOT NULL DEFAULT '[]';
