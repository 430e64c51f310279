-- Disables the rows of entries that have ended.
-- In: ids. Out: nothing.
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$')) AS ended
STRAIGHT_JOIN celery_beat_schedules AS s FORCE INDEX (PRIMARY) ON s.id = ended.id
SET s.enabled = false
