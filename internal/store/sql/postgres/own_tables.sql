-- How many tables onebeat has of its own.
-- In: nothing. Out: the count.
SELECT count(*) FROM pg_class WHERE oid = to_regclass('onebeat_schema')
