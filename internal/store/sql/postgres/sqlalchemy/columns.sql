-- The columns of the user's table.
-- In: nothing. Out: name and type; no row when there is no table.
SELECT attname::text, format_type(atttypid, -1)
FROM pg_attribute
WHERE attrelid = to_regclass('{{schema}}celery_periodictask') AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
