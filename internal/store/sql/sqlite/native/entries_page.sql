-- A page of the catalog's rows with what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not.
-- In: the rowid to start after, the length of a page. Out: the columns of the struct row, in its order; then the rowid.
SELECT
	CAST(s.id AS TEXT), s.name, s.task_name, s.cron_expression,
	s.enabled, CAST(s.args AS TEXT), CAST(s.kwargs AS TEXT), CAST(s.created_at AS TEXT),
	coalesce(CAST({{options}} AS TEXT), ''), coalesce({{timezone}}, ''), coalesce(CAST({{rules}} AS TEXT), ''),
	coalesce({{misfire_policy}}, ''), CAST(coalesce({{misfire_grace_seconds}}, 0) AS REAL),
	CAST(coalesce({{misfire_max_count}}, 0) AS INTEGER), CAST(coalesce({{misfire_max_age_seconds}}, 0) AS REAL),
	CAST({{last_run_at}} AS TEXT), CAST(coalesce({{total_run_count}}, 0) AS INTEGER),
	e.entry_id IS NOT NULL, coalesce(e.spec, ''), e.after_at, e.last_slot,
	coalesce(e.total_run_count, 0), e.paused_at, e.paused_until,
	coalesce(e.pause_reason, ''), coalesce(e.paused_by, ''),
	CAST(unixepoch('subsec') * 1000000 AS INTEGER), s.rowid
FROM celery_beat_schedules AS s
LEFT JOIN onebeat_entries AS e ON e.entry_id = CAST(s.id AS TEXT)
WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT ?2
