-- What it takes to run a run again, what people note about it, and whether lists leave it out.

ALTER TABLE run ADD COLUMN resume_from TEXT;
ALTER TABLE run ADD COLUMN chosen_model TEXT;
ALTER TABLE run ADD COLUMN connections TEXT NOT NULL DEFAULT '{}';
ALTER TABLE run ADD COLUMN init TEXT NOT NULL DEFAULT '{}';
ALTER TABLE run ADD COLUMN properties TEXT NOT NULL DEFAULT '{}';
ALTER TABLE run ADD COLUMN is_archived INTEGER NOT NULL DEFAULT 0;
