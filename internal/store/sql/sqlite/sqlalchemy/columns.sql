-- The columns of the user's table.
-- In: nothing. Out: name and type; no row when there is no table.
SELECT name, lower(type) FROM pragma_table_info('celery_periodictask')
