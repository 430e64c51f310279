-- Deletes the rows of entries that have ended.
-- In: ids. Out: nothing.
DELETE s FROM JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$')) AS ended
STRAIGHT_JOIN celery_beat_schedules AS s FORCE INDEX (PRIMARY) ON s.id = ended.id
