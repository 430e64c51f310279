-- All rows of the catalog with what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not. UUIDs and JSON are
-- not made texts of here, and nulls stay nulls: there is less to make, to send and to read.
-- In: nothing. Out: the columns of the struct row, in its order; then the key and the age in transactions.
SELECT
	{{id_as_is}} AS id, s.name::text AS name, s.task_name::text AS task_name, s.cron_expression::text AS cron_expression,
	s.enabled, {{args_as_is}} AS args, {{kwargs_as_is}} AS kwargs, s.created_at::timestamptz AS created_at,
	{{options_as_is}} AS options, {{timezone}}::text AS timezone, {{rules_as_is}} AS rules,
	{{misfire_policy}}::text AS misfire_policy,
	{{misfire_grace_seconds}}::float8 AS misfire_grace_seconds,
	{{misfire_max_count}}::bigint AS misfire_max_count,
	{{misfire_max_age_seconds}}::float8 AS misfire_max_age_seconds,
	{{last_run_at}}::timestamptz AS last_run_at, {{total_run_count}}::bigint AS total_run_count,
	e.entry_id IS NOT NULL AS known, e.spec AS spec, e.after_at, e.last_slot,
	e.total_run_count AS side_count, e.paused_at, e.paused_until, e.pause_reason, e.paused_by,
	clock_timestamp() AS read_at,
	s.id AS key, age(s.xmin) AS age
FROM celery_beat_schedules AS s
LEFT JOIN onebeat_entries AS e ON e.entry_id = s.id::text
