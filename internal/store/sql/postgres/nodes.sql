-- The nodes that were ever seen.
-- In: nothing. Out: name, shards, whether it reaches the broker, microseconds since it was seen.
SELECT name, shards, reaches, (extract(epoch FROM clock_timestamp() - seen_at) * 1000000)::bigint FROM onebeat_nodes ORDER BY name
