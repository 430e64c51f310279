-- Tells who watches Django's mark of changes of the one-off rows that row_ended_counted is about to
-- disable.
-- In, for each entry: id, slot (null: none), and what only columns without a zone need. Out: nothing.
INSERT INTO django_celery_beat_periodictasks AS mark (ident, last_update)
SELECT 1, clock_timestamp()
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS ended (id, slot, ahead)
JOIN django_celery_beat_periodictask AS s ON s.id = ended.id::{{id_type}}
WHERE s.one_off AND ended.slot IS NOT NULL
LIMIT 1
ON CONFLICT (ident) DO UPDATE SET last_update = greatest(mark.last_update, excluded.last_update)
