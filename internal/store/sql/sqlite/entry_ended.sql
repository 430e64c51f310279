-- Remembers what ended beside the rows: the last sent slot, the last slot that ended
-- unsent, and how many were sent.
-- In, for each entry: id, sent slot (null: none), unsent slot (null: none), sent slots. Out: nothing.
UPDATE onebeat_entries
SET last_slot = max(coalesce(last_slot, ?2), coalesce(?2, last_slot)), after_at = max(after_at, coalesce(?3, after_at)),
	total_run_count = total_run_count + ?4
WHERE entry_id = ?1
