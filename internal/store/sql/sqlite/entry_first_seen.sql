-- Remembers the specs of entries that were seen for the first time and since when their slots count.
-- What is remembered of one already stays.
-- In, for each entry: id, spec digest, instant. Out: nothing.
INSERT INTO onebeat_entries (entry_id, spec, after_at, spec_at) VALUES (?1, ?2, ?3, ?3)
ON CONFLICT (entry_id) DO NOTHING
