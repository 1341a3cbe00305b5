-- Experiments as they were begun: definition, versions and planned runs, recorded before the first call.
-- Their runs refer to them by the column experiment of run.

CREATE TABLE experiment (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    finished_at TEXT,
    rerun_of TEXT,
    owner TEXT,
    heartbeat_at TEXT,
    verdict TEXT,
    record TEXT NOT NULL
);

CREATE INDEX experiment_created_at ON experiment (created_at);
