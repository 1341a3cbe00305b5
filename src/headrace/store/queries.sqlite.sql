-- Statements that only SQLite needs; see queries.sql.

-- name: used_contents
-- The digest of every content that a run, a kept result or a version of data refers to.
SELECT digest FROM content_use UNION SELECT digest FROM cached_content UNION SELECT digest FROM data_piece;
