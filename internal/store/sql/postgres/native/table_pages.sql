-- How many pages a table has, 0 if the server does not read a part of it without the rest: it does since version 14, of what
-- is neither a view nor partitioned.
-- In: the table. Out: how many.
SELECT CASE WHEN relkind = 'r' AND current_setting('server_version_num')::integer >= 140000
	THEN pg_relation_size(oid) / current_setting('block_size')::bigint ELSE 0 END
FROM pg_class WHERE oid = to_regclass($1)
