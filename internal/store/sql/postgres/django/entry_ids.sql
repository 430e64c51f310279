-- The ids of all rows of the catalog.
-- In: nothing. Out: id.
SELECT id::text FROM django_celery_beat_periodictask
