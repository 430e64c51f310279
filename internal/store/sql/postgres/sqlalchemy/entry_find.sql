-- The entries of an id or a name.
-- In: id or name. Out: id, whether it is that of the id.
SELECT s.id::text, s.id::text = $1 FROM {{schema}}celery_periodictask AS s WHERE s.id::text = $1 OR s.name = $1 ORDER BY 1
