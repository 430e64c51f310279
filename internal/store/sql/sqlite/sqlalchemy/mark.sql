-- The mark that the package's models move with each edit.
-- In: nothing. Out: an instant as text; no row before the first edit.
SELECT CAST(last_update AS TEXT) FROM celery_periodictaskchanged WHERE id = 1
