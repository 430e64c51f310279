-- About how many rows a table has, by its size: what the server itself expects, at no cost.
-- In: the table. Out: how many.
SELECT coalesce(
	pg_relation_size(oid) / current_setting('block_size')::bigint *
		CASE WHEN relpages > 0 AND reltuples >= 0 THEN reltuples / relpages ELSE 16 END,
	0)::bigint
FROM pg_class WHERE oid = to_regclass($1)
