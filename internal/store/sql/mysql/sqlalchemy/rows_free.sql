-- Locks those rows of entries that no other program holds.
-- In: ids. Out: the ids of the rows that are locked.
SELECT CAST(s.id AS char)
FROM JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$')) AS asked
STRAIGHT_JOIN celery_periodictask AS s FORCE INDEX (PRIMARY) ON s.id = asked.id
FOR UPDATE SKIP LOCKED
