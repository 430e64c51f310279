-- Does what row_ended_counted does to the rows that lie in a stretch of the table, whose pages are read one after the other: no
-- index is to be looked up for what is coalesced. A row says itself that it was written, for a trigger may write it again.
-- In: as row_ended_counted; the stretch's first page and the last one. Out: the ids of the entries whose rows are not there.
WITH told AS (
	UPDATE celery_beat_schedules AS s
	SET last_run_at = greatest(s.last_run_at, ended.slot), total_run_count = coalesce(s.total_run_count, 0) + ended.count
	FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS ended (id, slot, count)
	WHERE coalesce(s.id, s.id) = ended.id::{{id_type}}
		AND s.ctid >= ('(' || $4::bigint || ',0)')::tid AND s.ctid < ('(' || $5::bigint + 1 || ',0)')::tid
	RETURNING ended.id
)
SELECT ended.id FROM unnest($1::text[]) AS ended (id)
WHERE (SELECT count(*) FROM told) < cardinality($1::text[]) AND ended.id NOT IN (SELECT id FROM told)
