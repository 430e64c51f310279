-- Disables the rows of entries that have ended.
-- In: ids. Out: nothing.
UPDATE celery_beat_schedules SET enabled = 0 WHERE id IN (SELECT value FROM json_each(?1))
