-- Forgets entries whose rows are gone, but for pauses: a row that comes back stays paused.
-- In: ids of entries that are in no row and stay. Out: nothing.
DELETE e
FROM onebeat_entries AS e LEFT JOIN celery_beat_schedules AS s ON CAST(s.id AS char) = e.entry_id
WHERE e.paused_at IS NULL AND s.id IS NULL AND e.entry_id NOT IN (SELECT kept.id FROM JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) AS kept)
