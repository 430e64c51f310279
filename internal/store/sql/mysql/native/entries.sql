-- All rows of the catalog with what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not.
-- In: nothing. Out: the columns of the struct row, in its order; then the key.
SELECT
	CAST(s.id AS char), s.name, s.task_name, s.cron_expression,
	s.enabled, CAST(s.args AS char), CAST(s.kwargs AS char), CAST(s.created_at AS char),
	coalesce(CAST({{options}} AS char), ''), coalesce({{timezone}}, ''), coalesce({{rules}}, ''),
	coalesce({{misfire_policy}}, ''), coalesce({{misfire_grace_seconds}}, 0) + 0e0,
	CAST(coalesce({{misfire_max_count}}, 0) AS SIGNED), coalesce({{misfire_max_age_seconds}}, 0) + 0e0,
	CAST({{last_run_at}} AS char), CAST(coalesce({{total_run_count}}, 0) AS SIGNED),
	e.entry_id IS NOT NULL, coalesce(e.spec, ''), e.after_at, e.last_slot,
	coalesce(e.total_run_count, 0), e.paused_at, e.paused_until,
	coalesce(e.pause_reason, ''), coalesce(e.paused_by, ''),
	CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), CAST(s.id AS char)
FROM celery_beat_schedules AS s
LEFT JOIN onebeat_entries AS e ON e.entry_id = CAST(s.id AS char)
