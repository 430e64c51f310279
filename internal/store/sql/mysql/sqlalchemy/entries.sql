-- All rows of the catalog with the schedules that they refer to and what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not.
-- To the package no time zone is UTC.
-- In: nothing. Out: the columns that scanSQLAlchemy reads, in its order; then the key.
SELECT
	CAST(s.id AS char), s.name, s.task, s.enabled, s.args, s.kwargs, s.queue, s.exchange, s.routing_key, {{headers}},
	CAST(s.priority AS SIGNED), CAST(s.expires AS char), CAST({{expire_seconds}} AS SIGNED), s.one_off,
	CAST(s.start_time AS char), CAST(s.date_changed AS char), CAST(s.last_run_at AS char), CAST(coalesce(s.total_run_count, 0) AS SIGNED),
	s.discriminator,
	CAST(i.every AS SIGNED), i.period, c.minute, c.hour, c.day_of_week, c.day_of_month, c.month_of_year, CASE WHEN c.id IS NULL THEN '' ELSE coalesce(nullif(c.timezone, ''), 'UTC') END,
	o.event, CAST(o.latitude AS char), CAST(o.longitude AS char), CAST(k.clocked_time AS char),
	e.entry_id IS NOT NULL, coalesce(e.spec, ''), e.after_at, e.last_slot,
	coalesce(e.total_run_count, 0), e.paused_at, e.paused_until,
	coalesce(e.pause_reason, ''), coalesce(e.paused_by, ''),
	CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), CAST(s.id AS char)
FROM celery_periodictask AS s
LEFT JOIN celery_intervalschedule AS i ON i.id = s.schedule_id AND s.discriminator = 'intervalschedule'
LEFT JOIN celery_crontabschedule AS c ON c.id = s.schedule_id AND s.discriminator = 'crontabschedule'
LEFT JOIN celery_solarschedule AS o ON o.id = s.schedule_id AND s.discriminator = 'solarschedule'
LEFT JOIN celery_clockedschedule AS k ON k.id = s.schedule_id AND s.discriminator = 'clockedschedule'
LEFT JOIN onebeat_entries AS e ON e.entry_id = CAST(s.id AS char)
