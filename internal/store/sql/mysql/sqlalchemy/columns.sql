-- The columns of the user's table.
-- In: nothing. Out: name and type; no row when there is no table.
SELECT column_name, concat(column_type, coalesce(concat(' CHARACTER SET ', character_set_name, ' COLLATE ', collation_name), ''))
FROM information_schema.columns
WHERE table_schema = database() AND table_name = 'celery_periodictask'
ORDER BY ordinal_position
