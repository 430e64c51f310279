-- All rows of the catalog with the schedules that they refer to and what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not.
-- In: nothing. Out: the columns that scanSQLAlchemy reads, in its order; then the key and the age in transactions, of the row or of its
-- schedule, whichever was written later. No foreign key holds a schedule in its table: a row that has none is always read.
-- To the package no time zone is UTC.
SELECT
	s.id::text AS id, s.name::text AS name, s.task::text AS task, s.enabled, s.args::text AS args, s.kwargs::text AS kwargs,
	s.queue::text AS queue, s.exchange::text AS exchange, s.routing_key::text AS routing_key, {{headers}}::text AS headers,
	s.priority::bigint AS priority, s.expires::timestamptz AS expires, {{expire_seconds}}::bigint AS expire_seconds, s.one_off,
	s.start_time::timestamptz AS start_time, s.date_changed::timestamptz AS date_changed, s.last_run_at::timestamptz AS last_run_at,
	coalesce(s.total_run_count, 0)::bigint AS total_run_count,
	s.discriminator::text AS discriminator,
	i.every::bigint AS every, i.period::text AS period,
	c.minute::text AS minute, c.hour::text AS hour, c.day_of_week::text AS day_of_week, c.day_of_month::text AS day_of_month,
	c.month_of_year::text AS month_of_year, CASE WHEN c.id IS NULL THEN '' ELSE coalesce(nullif(c.timezone::text, ''), 'UTC') END AS timezone,
	o.event::text AS event, o.latitude::text AS latitude, o.longitude::text AS longitude, k.clocked_time::timestamptz AS clocked_time,
	e.entry_id IS NOT NULL AS known, coalesce(e.spec, '') AS spec, e.after_at, e.last_slot,
	coalesce(e.total_run_count, 0) AS side_count, e.paused_at, e.paused_until,
	coalesce(e.pause_reason, '') AS pause_reason, coalesce(e.paused_by, '') AS paused_by,
	clock_timestamp() AS read_at,
	s.id AS key,
	CASE WHEN num_nonnulls(i.id, c.id, o.id, k.id) > 0 THEN least(age(s.xmin), age(i.xmin), age(c.xmin), age(o.xmin), age(k.xmin)) ELSE 0 END AS age
FROM {{schema}}celery_periodictask AS s
LEFT JOIN {{schema}}celery_intervalschedule AS i ON i.id = s.schedule_id AND s.discriminator = 'intervalschedule'
LEFT JOIN {{schema}}celery_crontabschedule AS c ON c.id = s.schedule_id AND s.discriminator = 'crontabschedule'
LEFT JOIN {{schema}}celery_solarschedule AS o ON o.id = s.schedule_id AND s.discriminator = 'solarschedule'
LEFT JOIN {{schema}}celery_clockedschedule AS k ON k.id = s.schedule_id AND s.discriminator = 'clockedschedule'
LEFT JOIN onebeat_entries AS e ON e.entry_id = s.id::text
