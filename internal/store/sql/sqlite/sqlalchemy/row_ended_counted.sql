-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent. A
-- one-off row whose slot was sent is done, as the package's beat leaves it: disabled, without a count. What was asked for
-- is not counted there, for a count says that it is done.
-- In, for each entry: id, slot (null: leave it), sent slots. Out: nothing.
UPDATE celery_periodictask
SET enabled = enabled AND NOT (coalesce(one_off, 0) AND ?2 IS NOT NULL),
	last_run_at = CASE WHEN ?2 / 86400000000.0 + 2440587.5 > coalesce(julianday(last_run_at), 0)
		THEN datetime(?2 / 1000000, 'unixepoch') || printf('.%06d', ?2 % 1000000) ELSE last_run_at END,
	total_run_count = CASE WHEN NOT coalesce(one_off, 0) THEN total_run_count + ?3 WHEN ?2 IS NULL THEN total_run_count ELSE 0 END,
	date_changed = CASE WHEN ?2 IS NULL THEN date_changed ELSE strftime('%Y-%m-%d %H:%M:%f000', 'now') END
WHERE id = CAST(?1 AS INTEGER) AND (?2 IS NOT NULL OR ?3 > 0)
