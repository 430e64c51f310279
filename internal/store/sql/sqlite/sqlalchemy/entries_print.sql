-- A page of the catalog's rows, each with all that an edit may change in one text, also of
-- the schedule that it refers to, which costs a tenth of reading the columns. Of a one-off row when it was changed and whether it
-- ran are of that too: a change arms it again.
-- In: the rowid to start after, the length of a page. Out: rowid, id, text.
SELECT
	s.rowid, CAST(s.id AS TEXT),
	quote(s.id) || quote(s.name) || quote(s.task) || quote(s.enabled) || quote(s.args) || quote(s.kwargs) || quote(s.queue) || quote(s.exchange) || quote(s.routing_key) || quote({{headers}})
	|| quote(s.priority) || quote(s.expires) || quote({{expire_seconds}}) || quote(s.one_off) || quote(s.start_time) || quote(CASE WHEN s.one_off THEN coalesce(s.date_changed, '') || (s.total_run_count > 0) END)
	|| quote(s.discriminator) || quote(s.schedule_id) || quote(i.every) || quote(i.period)
	|| quote(c.minute) || quote(c.hour) || quote(c.day_of_week) || quote(c.day_of_month) || quote(c.month_of_year) || quote(c.timezone) || quote(o.event) || quote(o.latitude) || quote(o.longitude) || quote(k.clocked_time)
FROM celery_periodictask AS s
LEFT JOIN celery_intervalschedule AS i ON i.id = s.schedule_id AND s.discriminator = 'intervalschedule'
LEFT JOIN celery_crontabschedule AS c ON c.id = s.schedule_id AND s.discriminator = 'crontabschedule'
LEFT JOIN celery_solarschedule AS o ON o.id = s.schedule_id AND s.discriminator = 'solarschedule'
LEFT JOIN celery_clockedschedule AS k ON k.id = s.schedule_id AND s.discriminator = 'clockedschedule'
WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT ?2
