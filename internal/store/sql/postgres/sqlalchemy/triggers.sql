-- How many of the triggers that write onebeat_changes are in place and enabled.
-- In: nothing. Out: the count.
SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('{{schema}}celery_periodictask'))
	AND tgname LIKE 'onebeat\_sqlalchemy\_%' AND tgenabled IN ('O', 'A')
