-- What people say about the answers of a run. Rows are only added; the last of a line, metric and person counts.

CREATE TABLE label (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    line_number INTEGER NOT NULL,
    metric TEXT NOT NULL,
    value REAL,
    labeller TEXT NOT NULL,
    is_random INTEGER NOT NULL,
    at TEXT NOT NULL,
    note TEXT NOT NULL
);

CREATE INDEX label_run ON label (run_id);
