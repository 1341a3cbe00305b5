-- Long texts by their SHA-256: which runs refer to which, and which lines do. The texts are rows, so that a team sees them.

CREATE TABLE content (
    digest TEXT PRIMARY KEY,
    data BYTEA NOT NULL
);

CREATE TABLE content_use (
    digest TEXT NOT NULL REFERENCES content (digest),
    run_id BIGINT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    PRIMARY KEY (digest, run_id)
);

-- Deleting a run finds its uses by it.
CREATE INDEX content_use_run ON content_use (run_id);

ALTER TABLE line ADD COLUMN has_contents INTEGER NOT NULL DEFAULT 0;
