-- Long texts by their SHA-256: which runs refer to which, and which lines do. The texts are files beside the database.

CREATE TABLE content_use (
    digest TEXT NOT NULL,
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    PRIMARY KEY (digest, run_id)
) WITHOUT ROWID;

-- Deleting a run finds its uses by it.
CREATE INDEX content_use_run ON content_use (run_id);

ALTER TABLE line ADD COLUMN has_contents INTEGER NOT NULL DEFAULT 0;
