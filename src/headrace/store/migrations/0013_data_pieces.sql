-- Large data that versions keep, and data of several files: the pieces of each file in order. A piece is a content, so
-- that none is too large for a row, and pieces that two versions share are kept once.

CREATE TABLE data_piece (
    content TEXT NOT NULL,
    place INTEGER NOT NULL,
    file TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (content, place)
);

-- Deleting contents asks which pieces are used.
CREATE INDEX data_piece_digest ON data_piece (digest);
