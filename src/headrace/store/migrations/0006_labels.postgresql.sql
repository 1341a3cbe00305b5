-- What people say about the answers of a run. Rows are only added; the last of a line, metric and person counts.

CREATE TABLE label (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id BIGINT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    line_number BIGINT NOT NULL,
    metric TEXT NOT NULL,
    value DOUBLE PRECISION,
    labeller TEXT NOT NULL,
    is_random INTEGER NOT NULL,
    at TEXT NOT NULL,
    note TEXT NOT NULL
);

CREATE INDEX label_run ON label (run_id);
