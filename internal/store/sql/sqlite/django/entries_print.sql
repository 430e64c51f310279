-- A page of the catalog's rows, each with all that an edit may change in one text, also of
-- the schedule that it refers to, which costs a tenth of reading the columns. Of a one-off row when it was changed and whether it
-- ran are of that too: a change arms it again.
-- In: the rowid to start after, the length of a page. Out: rowid, id, text.
SELECT
	s.rowid, CAST(s.id AS TEXT),
	quote(s.id) || quote(s.name) || quote(s.task) || quote(s.enabled) || quote(s.args) || quote(s.kwargs) || quote(s.queue) || quote(s.exchange) || quote(s.routing_key) || quote(s.headers)
	|| quote(s.priority) || quote(s.expires) || quote({{expire_seconds}}) || quote(s.one_off) || quote(s.start_time) || quote(CASE WHEN s.one_off THEN s.date_changed || (s.total_run_count > 0) END)
	|| quote(s.interval_id) || quote(s.crontab_id) || quote(s.solar_id) || quote(s.clocked_id) || quote(i.every) || quote(i.period)
	|| quote(c.minute) || quote(c.hour) || quote(c.day_of_week) || quote(c.day_of_month) || quote(c.month_of_year) || quote(c.timezone) || quote(o.event) || quote(o.latitude) || quote(o.longitude) || quote(k.clocked_time)
FROM django_celery_beat_periodictask AS s
LEFT JOIN django_celery_beat_intervalschedule AS i ON i.id = s.interval_id
LEFT JOIN django_celery_beat_crontabschedule AS c ON c.id = s.crontab_id
LEFT JOIN django_celery_beat_solarschedule AS o ON o.id = s.solar_id
LEFT JOIN django_celery_beat_clockedschedule AS k ON k.id = s.clocked_id
WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT ?2
