-- Locks those rows of entries that no other program holds.
-- In: ids. Out: the ids of the rows that are locked.
SELECT CAST(s.id AS TEXT) FROM celery_periodictask AS s WHERE s.id IN (SELECT value FROM json_each(?1))
