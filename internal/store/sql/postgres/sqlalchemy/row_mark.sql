-- Tells who watches the package's mark of changes of the one-off rows that row_ended_counted is about to
-- disable.
-- In, for each entry: id, slot (null: none). Out: nothing.
INSERT INTO {{schema}}celery_periodictaskchanged AS mark (id, last_update)
SELECT 1, clock_timestamp()
FROM unnest($1::text[], $2::timestamptz[]) AS ended (id, slot)
JOIN {{schema}}celery_periodictask AS s ON s.id = ended.id::{{id_type}}
WHERE s.one_off AND ended.slot IS NOT NULL
LIMIT 1
ON CONFLICT (id) DO UPDATE SET last_update = greatest(mark.last_update, excluded.last_update)
