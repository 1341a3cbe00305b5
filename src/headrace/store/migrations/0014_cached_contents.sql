-- Which kept results of nodes refer to which contents: long texts, and images.

CREATE TABLE cached_content (
    key TEXT NOT NULL REFERENCES cached_result (key) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (digest, key)
);

-- Deleting a result finds its contents by it.
CREATE INDEX cached_content_key ON cached_content (key);

ALTER TABLE cached_result ADD COLUMN content_bytes BIGINT NOT NULL DEFAULT 0;
