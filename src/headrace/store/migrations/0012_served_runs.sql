-- Whether the lines of a run are requests that a server has answered.

ALTER TABLE run ADD COLUMN is_served INTEGER NOT NULL DEFAULT 0;
