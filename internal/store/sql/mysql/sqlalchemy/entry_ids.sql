-- The ids of all rows of the catalog.
-- In: nothing. Out: id.
SELECT CAST(id AS char) FROM celery_periodictask
