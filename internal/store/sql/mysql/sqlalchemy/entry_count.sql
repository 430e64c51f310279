-- How many rows the catalog has.
-- In: nothing. Out: the count.
SELECT count(*) FROM celery_periodictask
