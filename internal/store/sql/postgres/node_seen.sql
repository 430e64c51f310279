-- Notes that a node is there, if it parts entries among as many shards as the installation does.
-- In: name, shards, whether it is fit for shards. Out: the number of rows says whether it does.
INSERT INTO onebeat_nodes AS node (name, shards, fit, seen_at)
SELECT $1, $2::integer, $3, clock_timestamp()
FROM onebeat_meta WHERE key = 'shards' AND value = $2::integer::text
ON CONFLICT (name) DO UPDATE SET shards = excluded.shards, fit = excluded.fit, seen_at = excluded.seen_at
