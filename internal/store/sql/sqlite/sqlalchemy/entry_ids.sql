-- The ids of all rows of the catalog.
-- In: nothing. Out: id.
SELECT CAST(id AS TEXT) FROM celery_periodictask
