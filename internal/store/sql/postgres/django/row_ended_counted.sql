-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent. A
-- one-off row whose slot was sent is done, as Celery's own beat leaves it: disabled, without a last run or a count. What was
-- asked for is not counted there, for a count says that it is done.
-- In, for each entry: id, slot as its column has it (null: leave it), sent slots, and what only columns without a zone need. Out: nothing.
UPDATE django_celery_beat_periodictask AS s
SET enabled = s.enabled AND NOT (s.one_off AND ended.slot IS NOT NULL),
	last_run_at = CASE WHEN NOT (s.one_off AND ended.slot IS NOT NULL) THEN greatest(s.last_run_at, ended.slot) END,
	total_run_count = CASE WHEN NOT s.one_off THEN s.total_run_count + ended.count WHEN ended.slot IS NULL THEN s.total_run_count ELSE 0 END,
	date_changed = CASE WHEN ended.slot IS NULL THEN s.date_changed ELSE clock_timestamp() END
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[]) AS ended (id, slot, count, ahead)
WHERE s.id = ended.id::{{id_type}} AND (ended.slot IS NOT NULL OR ended.count > 0)
