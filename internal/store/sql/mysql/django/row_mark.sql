-- Tells who watches Django's mark of changes of the one-off rows that row_ended_counted is about to
-- disable.
-- In, for each entry: id, slot (null: none), seconds that the columns are ahead of UTC. Out: nothing.
INSERT INTO django_celery_beat_periodictasks (ident, last_update)
SELECT 1, timestampadd(SECOND, ended.ahead, utc_timestamp(6))
FROM JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$[0]', slot bigint PATH '$[1]', ahead bigint PATH '$[2]')) AS ended
STRAIGHT_JOIN django_celery_beat_periodictask AS s FORCE INDEX (PRIMARY) ON s.id = ended.id
WHERE s.one_off AND ended.slot IS NOT NULL
LIMIT 1
ON DUPLICATE KEY UPDATE last_update = greatest(last_update, timestampadd(SECOND, ended.ahead, utc_timestamp(6)))
