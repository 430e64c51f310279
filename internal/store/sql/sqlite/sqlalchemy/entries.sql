-- All rows of the catalog with the schedules that they refer to and what onebeat remembers of them.
-- Columns in braces are read where the table has them and are null where it has not.
-- To the package no time zone is UTC.
-- In: nothing. Out: the columns that scanSQLAlchemy reads, in its order; then the rowid.
SELECT
	CAST(s.id AS TEXT), s.name, s.task, s.enabled, s.args, s.kwargs, s.queue, s.exchange, s.routing_key, {{headers}},
	CAST(s.priority AS INTEGER), CAST(s.expires AS TEXT), CAST({{expire_seconds}} AS INTEGER), s.one_off,
	CAST(s.start_time AS TEXT), CAST(s.date_changed AS TEXT), CAST(s.last_run_at AS TEXT), CAST(coalesce(s.total_run_count, 0) AS INTEGER),
	s.discriminator,
	CAST(i.every AS INTEGER), i.period, c.minute, c.hour, c.day_of_week, c.day_of_month, c.month_of_year, CASE WHEN c.id IS NULL THEN '' ELSE coalesce(nullif(c.timezone, ''), 'UTC') END,
	o.event, CAST(o.latitude AS TEXT), CAST(o.longitude AS TEXT), CAST(k.clocked_time AS TEXT),
	e.entry_id IS NOT NULL, coalesce(e.spec, ''), e.after_at, e.last_slot,
	coalesce(e.total_run_count, 0), e.paused_at, e.paused_until,
	coalesce(e.pause_reason, ''), coalesce(e.paused_by, ''),
	CAST(unixepoch('subsec') * 1000000 AS INTEGER), s.rowid
FROM celery_periodictask AS s
LEFT JOIN celery_intervalschedule AS i ON i.id = s.schedule_id AND s.discriminator = 'intervalschedule'
LEFT JOIN celery_crontabschedule AS c ON c.id = s.schedule_id AND s.discriminator = 'crontabschedule'
LEFT JOIN celery_solarschedule AS o ON o.id = s.schedule_id AND s.discriminator = 'solarschedule'
LEFT JOIN celery_clockedschedule AS k ON k.id = s.schedule_id AND s.discriminator = 'clockedschedule'
LEFT JOIN onebeat_entries AS e ON e.entry_id = CAST(s.id AS TEXT)
