-- One request may be part of several tests, under the one id that its callers hand on.

DROP INDEX evidence_id;

CREATE UNIQUE INDEX evidence_id ON evidence (id, kind, test);
