-- Disables the rows of entries that have ended.
-- In: ids. Out: nothing.
UPDATE celery_beat_schedules SET enabled = false WHERE id = ANY ($1::text[]::{{id_type}}[])
