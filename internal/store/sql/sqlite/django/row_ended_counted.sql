-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent. A
-- one-off row whose slot was sent is done, as Celery's own beat leaves it: disabled, without a last run or a count. What was
-- asked for is not counted there, for a count says that it is done.
-- In, for each entry: id, slot as its column has it (null: leave it), sent slots, seconds that the columns are ahead of UTC. Out: nothing.
UPDATE django_celery_beat_periodictask
SET enabled = enabled AND NOT (one_off AND ?2 IS NOT NULL),
	last_run_at = CASE WHEN one_off AND ?2 IS NOT NULL THEN NULL WHEN ?2 / 86400000000.0 + 2440587.5 > coalesce(julianday(last_run_at), 0)
		THEN datetime(?2 / 1000000, 'unixepoch') || printf('.%06d', ?2 % 1000000) ELSE last_run_at END,
	total_run_count = CASE WHEN NOT one_off THEN total_run_count + ?3 WHEN ?2 IS NULL THEN total_run_count ELSE 0 END,
	date_changed = CASE WHEN ?2 IS NULL THEN date_changed ELSE strftime('%Y-%m-%d %H:%M:%f', 'now', ?4 || ' seconds') END
WHERE id = CAST(?1 AS INTEGER) AND (?2 IS NOT NULL OR ?3 > 0)
