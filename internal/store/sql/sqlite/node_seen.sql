-- Notes that a node is there, if it parts entries among as many shards as the installation does.
-- In: name, shards, whether it is fit for shards. Out: the number of rows says whether it does.
INSERT INTO onebeat_nodes (name, shards, fit, seen_at)
SELECT ?1, ?2, ?3, CAST(unixepoch('subsec') * 1000000 AS INTEGER)
FROM onebeat_meta WHERE key = 'shards' AND value = CAST(?2 AS TEXT)
ON CONFLICT (name) DO UPDATE SET shards = excluded.shards, fit = excluded.fit, seen_at = excluded.seen_at
