-- Where data come from that headrace itself has written, as JSON.

ALTER TABLE data_version ADD COLUMN origin TEXT;
