-- Versions of flows and of data, the tags that point at them, and the files that they are made of, by SHA-256.
-- Files are rows: a version is committed at once, and most files are small. Versions stay when runs go.

CREATE TABLE kept_file (
    digest TEXT NOT NULL PRIMARY KEY,
    data BYTEA NOT NULL
);

CREATE TABLE flow_version (
    flow TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    created_at TEXT NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (flow, number),
    UNIQUE (flow, digest)
);

CREATE TABLE tag_move (
    flow TEXT NOT NULL,
    tag TEXT NOT NULL,
    move BIGINT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (flow, tag, move)
);

CREATE TABLE data_version (
    data TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    n_lines BIGINT NOT NULL,
    content TEXT,
    created_at TEXT NOT NULL,
    PRIMARY KEY (data, number),
    UNIQUE (data, digest)
);

ALTER TABLE run ADD COLUMN flow_version BIGINT;
ALTER TABLE run ADD COLUMN data_version BIGINT;
