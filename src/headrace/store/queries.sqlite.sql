-- Statements that only SQLite needs; see queries.sql.

-- name: used_contents
-- The digest of every content that a run refers to.
SELECT DISTINCT digest FROM content_use;
