-- All rows of the catalog with the schedules that they refer to and what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not.
-- In: nothing. Out: the columns that scanDjango reads, in its order; then the key and the age in transactions, of the row or of its
-- schedule, whichever was written later.
SELECT
	s.id::text AS id, s.name::text AS name, s.task::text AS task, s.enabled, s.args::text AS args, s.kwargs::text AS kwargs,
	s.queue::text AS queue, s.exchange::text AS exchange, s.routing_key::text AS routing_key, s.headers::text AS headers,
	s.priority::bigint AS priority, s.expires::timestamptz AS expires, {{expire_seconds}}::bigint AS expire_seconds, s.one_off,
	s.start_time::timestamptz AS start_time, s.date_changed::timestamptz AS date_changed, s.last_run_at::timestamptz AS last_run_at,
	coalesce(s.total_run_count, 0)::bigint AS total_run_count,
	num_nonnulls(s.interval_id, s.crontab_id, s.solar_id, s.clocked_id)::bigint AS schedules,
	i.every::bigint AS every, i.period::text AS period,
	c.minute::text AS minute, c.hour::text AS hour, c.day_of_week::text AS day_of_week, c.day_of_month::text AS day_of_month,
	c.month_of_year::text AS month_of_year, coalesce(c.timezone::text, '') AS timezone,
	o.event::text AS event, o.latitude::text AS latitude, o.longitude::text AS longitude, k.clocked_time::timestamptz AS clocked_time,
	e.entry_id IS NOT NULL AS known, coalesce(e.spec, '') AS spec, e.after_at, e.last_slot,
	coalesce(e.total_run_count, 0) AS side_count, e.paused_at, e.paused_until,
	coalesce(e.pause_reason, '') AS pause_reason, coalesce(e.paused_by, '') AS paused_by,
	clock_timestamp() AS read_at,
	s.id AS key, least(age(s.xmin), age(i.xmin), age(c.xmin), age(o.xmin), age(k.xmin)) AS age
FROM django_celery_beat_periodictask AS s
LEFT JOIN django_celery_beat_intervalschedule AS i ON i.id = s.interval_id
LEFT JOIN django_celery_beat_crontabschedule AS c ON c.id = s.crontab_id
LEFT JOIN django_celery_beat_solarschedule AS o ON o.id = s.solar_id
LEFT JOIN django_celery_beat_clockedschedule AS k ON k.id = s.clocked_id
LEFT JOIN onebeat_entries AS e ON e.entry_id = s.id::text
