-- The schema's version, runs, what each line did, and the spans of each line.

CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at TEXT NOT NULL
);

CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    finished_at TEXT,
    n_lines INTEGER NOT NULL,
    flow_path TEXT NOT NULL,
    flow_name TEXT NOT NULL,
    flow_digest TEXT NOT NULL,
    data_path TEXT,
    data_digest TEXT,
    column_mapping TEXT NOT NULL,
    source_run TEXT,
    variant TEXT,
    arm TEXT,
    model TEXT,
    experiment TEXT,
    judgement TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    display_name TEXT,
    description TEXT,
    tags TEXT NOT NULL,
    metrics TEXT NOT NULL DEFAULT '{}',
    aggregation TEXT NOT NULL DEFAULT '[]',
    problem TEXT
);

-- The narrow columns stand before the texts, so that a long text never has to be read to reach them.
CREATE TABLE line (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    line_number INTEGER NOT NULL,
    status TEXT NOT NULL,
    calls INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_usd REAL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    trace_id TEXT NOT NULL,
    inputs TEXT NOT NULL,
    outputs TEXT NOT NULL,
    problem TEXT,
    nodes TEXT NOT NULL,
    PRIMARY KEY (run_id, line_number)
);

-- Covers the totals of a run and its completed lines: counting never reads inputs or outputs.
CREATE INDEX line_totals ON line (
    run_id, status, line_number, calls, prompt_tokens, completion_tokens, cost_usd
);

-- One row per line, -1 for the aggregation nodes; apart from line, so that reading lines stays cheap.
CREATE TABLE trace (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    line_number INTEGER NOT NULL,
    spans TEXT NOT NULL,
    PRIMARY KEY (run_id, line_number)
);
