-- Locks those rows of entries that no other program holds.
-- In: ids. Out: the ids of the rows that are locked.
SELECT s.id::text FROM {{schema}}celery_periodictask AS s
WHERE s.id = ANY ($1::text[]::{{id_type}}[])
FOR NO KEY UPDATE SKIP LOCKED
