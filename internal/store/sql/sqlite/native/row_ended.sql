-- Tells the rows of entries their last sent slot, never backwards.
-- In, for each entry: id, slot (null: leave it), sent slots. Out: nothing.
UPDATE celery_beat_schedules
SET last_run_at = datetime(?2 / 1000000, 'unixepoch') || printf('.%06d', ?2 % 1000000)
WHERE id = ?1 AND ?2 / 86400000000.0 + 2440587.5 > coalesce(julianday(last_run_at), 0) AND ?3 IS NOT NULL
