-- Results of nodes that are used again, and what the tools of a run are made of.

CREATE TABLE cached_result (
    key TEXT NOT NULL PRIMARY KEY,
    run TEXT NOT NULL,
    line_number BIGINT NOT NULL,
    node TEXT NOT NULL,
    calls BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cost_usd DOUBLE PRECISION,
    duration_ns BIGINT NOT NULL,
    made_ns BIGINT NOT NULL,
    used_ns BIGINT NOT NULL,
    n_uses BIGINT NOT NULL DEFAULT 0,
    logs TEXT NOT NULL,
    output TEXT NOT NULL
);

ALTER TABLE run ADD COLUMN sources TEXT NOT NULL DEFAULT '{}';
