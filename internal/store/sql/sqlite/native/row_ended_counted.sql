-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent.
-- In, for each entry: id, slot (null: leave it), sent slots. Out: nothing.
UPDATE celery_beat_schedules
SET last_run_at = CASE WHEN ?2 / 86400000000.0 + 2440587.5 > coalesce(julianday(last_run_at), 0)
		THEN datetime(?2 / 1000000, 'unixepoch') || printf('.%06d', ?2 % 1000000) ELSE last_run_at END,
	total_run_count = coalesce(total_run_count, 0) + ?3
WHERE id = ?1
