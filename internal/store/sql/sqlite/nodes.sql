-- The nodes that were ever seen.
-- In: nothing. Out: name, shards, whether it reaches the broker, microseconds since it was seen.
SELECT name, shards, reaches, CAST(unixepoch('subsec') * 1000000 AS INTEGER) - seen_at FROM onebeat_nodes ORDER BY name
