-- How many rows the catalog has.
-- In: nothing. Out: the count.
SELECT count(*) FROM django_celery_beat_periodictask
