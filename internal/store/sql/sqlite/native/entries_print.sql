-- A page of the catalog's rows, each with all that an edit may change in one text, which
-- costs a tenth of reading the columns.
-- In: the rowid to start after, the length of a page. Out: rowid, id, text.
SELECT
	s.rowid, CAST(s.id AS TEXT),
	quote(s.id) || quote(s.name) || quote(s.task_name) || quote(s.cron_expression) || quote(s.enabled) || quote(s.args) || quote(s.kwargs)
	|| quote(s.created_at) || quote({{options}}) || quote({{timezone}}) || quote({{rules}}) || quote({{misfire_policy}})
	|| quote({{misfire_grace_seconds}}) || quote({{misfire_max_count}}) || quote({{misfire_max_age_seconds}})
FROM celery_beat_schedules AS s
WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT ?2
