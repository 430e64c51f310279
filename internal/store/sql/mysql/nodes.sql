-- The nodes that were ever seen.
-- In: nothing. Out: name, shards, whether it is fit for shards, microseconds since it was seen.
SELECT name, shards, fit, CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) - seen_at FROM onebeat_nodes ORDER BY name
