-- Forgets entries whose rows are gone, but for pauses: a row that comes back stays paused.
-- In: ids of entries that are in no row and stay. Out: nothing.
DELETE FROM onebeat_entries
WHERE paused_at IS NULL AND entry_id NOT IN (SELECT CAST(id AS TEXT) FROM celery_beat_schedules) AND entry_id NOT IN (SELECT value FROM json_each(?1))
