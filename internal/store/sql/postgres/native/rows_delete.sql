-- Deletes the rows of entries that have ended.
-- In: ids. Out: nothing.
DELETE FROM celery_beat_schedules WHERE id = ANY ($1::text[]::{{id_type}}[])
