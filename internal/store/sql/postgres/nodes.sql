-- The nodes that were ever seen.
-- In: nothing. Out: name, shards, whether it is fit for shards, microseconds since it was seen.
SELECT name, shards, fit, (extract(epoch FROM clock_timestamp() - seen_at) * 1000000)::bigint FROM onebeat_nodes ORDER BY name
