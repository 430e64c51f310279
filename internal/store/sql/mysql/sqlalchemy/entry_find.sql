-- The entries of an id or a name.
-- In: id or name. Out: id, whether it is that of the id.
SELECT CAST(s.id AS char), CAST(s.id AS char) = ?1 FROM celery_periodictask AS s WHERE CAST(s.id AS char) = ?1 OR s.name = ?1 ORDER BY 1
