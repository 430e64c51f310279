-- The entries of which a slot may have ended that came at an instant or later, in one look at all rows; see entries, of
-- which what is not asked for is not read.
-- In: the instant. Out: id.
SELECT id::text FROM ({{entries}}) AS entries WHERE last_run_at >= $1
UNION ALL
SELECT entry_id FROM onebeat_entries WHERE after_at >= $1 OR last_slot >= $1
