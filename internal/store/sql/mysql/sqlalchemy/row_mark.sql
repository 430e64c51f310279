-- Tells who watches the package's mark of changes of the one-off rows that row_ended_counted is about to
-- disable.
-- In, for each entry: id, slot (null: none). Out: nothing.
INSERT INTO celery_periodictaskchanged (id, last_update)
SELECT 1, utc_timestamp(6)
FROM JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$[0]', slot bigint PATH '$[1]')) AS ended
STRAIGHT_JOIN celery_periodictask AS s FORCE INDEX (PRIMARY) ON s.id = ended.id
WHERE s.one_off AND ended.slot IS NOT NULL
LIMIT 1
ON DUPLICATE KEY UPDATE last_update = greatest(last_update, utc_timestamp(6))
