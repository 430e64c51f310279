-- Between which pages some rows of the table lie. Nothing where the server does not read a part of it without the rest (see
-- table_pages), nor writes one with a rule but by a statement of its own, nor where several rows may have one id: those in the
-- stretch would not tell of the others.
-- In: ids. Out: the first page and the last one.
SELECT min(lies.page), max(lies.page)
FROM (SELECT (s.ctid::text::point)[0]::bigint FROM celery_beat_schedules AS s WHERE s.id = ANY ($1::text[]::{{id_type}}[])) AS lies (page)
WHERE EXISTS (
		SELECT FROM pg_class WHERE oid = 'celery_beat_schedules'::regclass AND relkind = 'r' AND NOT relhasrules AND NOT relhassubclass
			AND current_setting('server_version_num')::integer >= 140000
	)
	AND EXISTS (
		SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attname = 'id'
		WHERE i.indrelid = 'celery_beat_schedules'::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
			AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
	)
HAVING count(*) > 0
