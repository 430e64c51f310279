-- The ids of all rows of the catalog.
-- In: nothing. Out: id.
SELECT id::text FROM {{schema}}celery_periodictask
