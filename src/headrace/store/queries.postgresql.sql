-- Statements that only PostgreSQL needs; see queries.sql.

-- name: share_contents
-- Until the transaction ends, let nobody delete contents.
SELECT pg_advisory_xact_lock_shared(:key);

-- name: lock_contents
-- Wait for transactions that record contents; until this one ends, let nobody begin to.
SELECT pg_advisory_xact_lock(:key);

-- name: find_contents
-- Which of some contents are there already.
SELECT digest FROM content WHERE digest = ANY(:digests);

-- name: add_content
-- Keep a content; another transaction may keep the same at the same time.
INSERT INTO content (digest, data) VALUES (:digest, :data) ON CONFLICT (digest) DO NOTHING;

-- name: read_content
-- One content.
SELECT data FROM content WHERE digest = :digest;

-- name: delete_unused_contents
-- Delete the contents that no run, no kept result and no version of data refers to.
DELETE FROM content
WHERE NOT EXISTS (SELECT 1 FROM content_use WHERE content_use.digest = content.digest)
    AND NOT EXISTS (SELECT 1 FROM cached_content WHERE cached_content.digest = content.digest)
    AND NOT EXISTS (SELECT 1 FROM data_piece WHERE data_piece.digest = content.digest);
