-- All rows of the catalog without what onebeat remembers of them; see entries.
-- In: nothing. Out: the columns of the struct row that are the catalog's, in its order; then when they were read.
SELECT
	{{id_as_is}} AS id, s.name::text AS name, s.task_name::text AS task_name, s.cron_expression::text AS cron_expression,
	s.enabled, {{args_as_is}} AS args, {{kwargs_as_is}} AS kwargs, s.created_at::timestamptz AS created_at,
	{{options_as_is}} AS options, {{timezone}}::text AS timezone, {{rules_as_is}} AS rules,
	{{misfire_policy}}::text AS misfire_policy,
	{{misfire_grace_seconds}}::float8 AS misfire_grace_seconds,
	{{misfire_max_count}}::bigint AS misfire_max_count,
	{{misfire_max_age_seconds}}::float8 AS misfire_max_age_seconds,
	{{last_run_at}}::timestamptz AS last_run_at, {{total_run_count}}::bigint AS total_run_count,
	clock_timestamp() AS read_at
FROM celery_beat_schedules AS s
