-- The ids of all rows of the catalog.
-- In: nothing. Out: id.
SELECT id::text FROM celery_beat_schedules
