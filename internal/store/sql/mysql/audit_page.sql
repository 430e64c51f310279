-- Entries that onebeat remembers, in order of id.
-- In: the id to start after, how many. Out: id, since when its spec counts (null: not known).
SELECT entry_id, spec_at FROM onebeat_entries WHERE entry_id > ?1 ORDER BY entry_id LIMIT ?2
