-- A page of the catalog's rows, each with a hash of all that an edit may change, which costs a seventh of
-- reading the columns. As bytes, for columns may differ in their collations.
-- In: the key to start after, or null; the length of a page. Out: id, 16 hexadecimal digits.
SELECT CAST(s.id AS char), left(sha1(concat_ws(',',
	quote(CAST(s.id AS BINARY)), quote(CAST(s.name AS BINARY)), quote(CAST(s.task_name AS BINARY)), quote(CAST(s.cron_expression AS BINARY)), quote(CAST(s.enabled AS BINARY)), quote(CAST(s.args AS BINARY)), quote(CAST(s.kwargs AS BINARY)),
	quote(CAST(s.created_at AS BINARY)), quote(CAST({{options}} AS BINARY)), quote(CAST({{timezone}} AS BINARY)), quote(CAST({{rules}} AS BINARY)), quote(CAST({{misfire_policy}} AS BINARY)),
	quote(CAST({{misfire_grace_seconds}} AS BINARY)), quote(CAST({{misfire_max_count}} AS BINARY)), quote(CAST({{misfire_max_age_seconds}} AS BINARY))
)), 16)
FROM celery_beat_schedules AS s
WHERE (?1 IS NULL OR s.id > ?1) ORDER BY s.id LIMIT ?2
