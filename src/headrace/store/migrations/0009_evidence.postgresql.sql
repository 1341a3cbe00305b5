-- What live traffic leaves behind, in one order of arrival, and the revisions of tests.
-- Whoever adds evidence takes the row of evidence_end first, so places are committed in their order.

CREATE TABLE evidence_end (last_place BIGINT NOT NULL);

INSERT INTO evidence_end (last_place) VALUES (0);

CREATE TABLE evidence (
    place BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    test TEXT NOT NULL,
    request_id TEXT,
    exposure TEXT,
    record TEXT NOT NULL
);

CREATE UNIQUE INDEX evidence_id ON evidence (id, kind);

CREATE INDEX evidence_test ON evidence (test, place);

CREATE INDEX evidence_request ON evidence (request_id) WHERE request_id IS NOT NULL;

-- Feedback of which only the exposure is known waits here for it.
CREATE INDEX evidence_waiting ON evidence (exposure) WHERE test = '' AND exposure IS NOT NULL;

CREATE TABLE ab_revision (
    test TEXT NOT NULL,
    number BIGINT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (test, number)
);
