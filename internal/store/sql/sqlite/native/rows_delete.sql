-- Deletes the rows of entries that have ended.
-- In: ids. Out: nothing.
DELETE FROM celery_beat_schedules WHERE id IN (SELECT value FROM json_each(?1))
