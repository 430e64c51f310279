-- A page of the catalog's rows, each with a hash of all that an edit may change, also of the schedule that
-- it refers to, which costs a tenth of reading the columns. Of a one-off row when it was changed and whether it
-- ran are of that too: a change arms it again. As bytes, for columns may differ in their collations.
-- In: the key to start after, or null; the length of a page. Out: id, 16 hexadecimal digits.
SELECT CAST(s.id AS char), left(sha1(concat_ws(',',
	quote(CAST(s.id AS BINARY)), quote(CAST(s.name AS BINARY)), quote(CAST(s.task AS BINARY)), quote(CAST(s.enabled AS BINARY)), quote(CAST(s.args AS BINARY)), quote(CAST(s.kwargs AS BINARY)),
	quote(CAST(s.queue AS BINARY)), quote(CAST(s.exchange AS BINARY)), quote(CAST(s.routing_key AS BINARY)), quote(CAST(s.headers AS BINARY)), quote(CAST(s.priority AS BINARY)), quote(CAST(s.expires AS BINARY)),
	quote(CAST({{expire_seconds}} AS BINARY)), quote(CAST(s.one_off AS BINARY)), quote(CAST(s.start_time AS BINARY)), quote(CAST(CASE WHEN s.one_off THEN concat(s.date_changed, s.total_run_count > 0) END AS BINARY)), quote(CAST(s.interval_id AS BINARY)), quote(CAST(s.crontab_id AS BINARY)),
	quote(CAST(s.solar_id AS BINARY)), quote(CAST(s.clocked_id AS BINARY)), quote(CAST(i.every AS BINARY)), quote(CAST(i.period AS BINARY)), quote(CAST(c.minute AS BINARY)), quote(CAST(c.hour AS BINARY)),
	quote(CAST(c.day_of_week AS BINARY)), quote(CAST(c.day_of_month AS BINARY)), quote(CAST(c.month_of_year AS BINARY)), quote(CAST(c.timezone AS BINARY)), quote(CAST(o.event AS BINARY)), quote(CAST(o.latitude AS BINARY)),
	quote(CAST(o.longitude AS BINARY)), quote(CAST(k.clocked_time AS BINARY))
)), 16)
FROM django_celery_beat_periodictask AS s
LEFT JOIN django_celery_beat_intervalschedule AS i ON i.id = s.interval_id
LEFT JOIN django_celery_beat_crontabschedule AS c ON c.id = s.crontab_id
LEFT JOIN django_celery_beat_solarschedule AS o ON o.id = s.solar_id
LEFT JOIN django_celery_beat_clockedschedule AS k ON k.id = s.clocked_id
WHERE (?1 IS NULL OR s.id > ?1) ORDER BY s.id LIMIT ?2
