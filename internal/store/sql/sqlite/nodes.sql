-- The nodes that were ever seen.
-- In: nothing. Out: name, shards, whether it is fit for shards, microseconds since it was seen.
SELECT name, shards, fit, CAST(unixepoch('subsec') * 1000000 AS INTEGER) - seen_at FROM onebeat_nodes ORDER BY name
