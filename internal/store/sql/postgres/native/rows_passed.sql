-- Those of the entries whose rows row_ended_stretch has not written, in the same transaction, and perhaps some that it wrote to another page.
-- In: ids; the stretch's first page and the last one. Out: ids.
SELECT ended.id FROM unnest($1::text[]) AS ended (id)
EXCEPT
SELECT s.id::text FROM celery_beat_schedules AS s
WHERE s.xmin = pg_current_xact_id()::xid AND s.ctid >= ('(' || $2::bigint || ',0)')::tid AND s.ctid < ('(' || $3::bigint + 1 || ',0)')::tid
