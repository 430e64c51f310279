-- Remembers what ended beside the rows: the last sent slot, the last slot that ended
-- unsent, and how many were sent.
-- In, for each entry: id, sent slot (null: none), unsent slot (null: none), sent slots. Out: nothing.
UPDATE onebeat_entries AS e
SET last_slot = greatest(e.last_slot, ended.sent), after_at = greatest(e.after_at, ended.unsent),
	total_run_count = e.total_run_count + ended.count
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::bigint[]) AS ended (id, sent, unsent, count)
WHERE e.entry_id = ended.id
