-- All rows of the catalog with what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not.
-- In: nothing. Out: the columns of the struct row, in its order; then the key and the age in transactions.
SELECT
	s.id::text AS id, s.name::text AS name, s.task_name::text AS task_name, s.cron_expression::text AS cron_expression,
	s.enabled, s.args::text AS args, s.kwargs::text AS kwargs, s.created_at::timestamptz AS created_at,
	coalesce({{options}}::text, '') AS options, coalesce({{timezone}}::text, '') AS timezone, coalesce({{rules}}::text, '') AS rules,
	coalesce({{misfire_policy}}::text, '') AS misfire_policy,
	coalesce({{misfire_grace_seconds}}::float8, 0) AS misfire_grace_seconds,
	coalesce({{misfire_max_count}}::bigint, 0) AS misfire_max_count,
	coalesce({{misfire_max_age_seconds}}::float8, 0) AS misfire_max_age_seconds,
	{{last_run_at}}::timestamptz AS last_run_at, coalesce({{total_run_count}}::bigint, 0) AS total_run_count,
	e.entry_id IS NOT NULL AS known, coalesce(e.spec, '') AS spec, e.after_at, e.last_slot,
	coalesce(e.total_run_count, 0) AS side_count, e.paused_at, e.paused_until,
	coalesce(e.pause_reason, '') AS pause_reason, coalesce(e.paused_by, '') AS paused_by,
	clock_timestamp() AS read_at,
	s.id AS key, age(s.xmin) AS age
FROM celery_beat_schedules AS s
LEFT JOIN onebeat_entries AS e ON e.entry_id = s.id::text
