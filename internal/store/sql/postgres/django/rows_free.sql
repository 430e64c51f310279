-- Locks those rows of entries that no other program holds.
-- Each is looked up by its id: an array would be cast again for each row of the table that is read.
-- In: ids. Out: the ids of the rows that are locked.
SELECT s.id::text FROM unnest($1::text[]) AS asked (id)
JOIN django_celery_beat_periodictask AS s ON s.id = asked.id::{{id_type}}
FOR NO KEY UPDATE OF s SKIP LOCKED
