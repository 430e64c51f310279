-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent. A
-- one-off row whose slot was sent is done, as the package's beat leaves it: disabled, without a count. What was asked for
-- is not counted there, for a count says that it is done.
-- In, for each entry: id, slot (null: leave it), sent slots. Out: nothing.
UPDATE {{schema}}celery_periodictask AS s
SET enabled = s.enabled AND NOT (coalesce(s.one_off, false) AND ended.slot IS NOT NULL),
	last_run_at = greatest(s.last_run_at, ended.slot),
	total_run_count = CASE WHEN NOT coalesce(s.one_off, false) THEN s.total_run_count + ended.count WHEN ended.slot IS NULL THEN s.total_run_count ELSE 0 END,
	date_changed = CASE WHEN ended.slot IS NULL THEN s.date_changed ELSE clock_timestamp() END
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS ended (id, slot, count)
WHERE s.id = ended.id::{{id_type}} AND (ended.slot IS NOT NULL OR ended.count > 0)
