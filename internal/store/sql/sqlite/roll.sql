-- The nodes that were ever seen, and the leases that were ever held.
-- In: nothing. Out: 'node', name, shards, whether it is fit for shards, microseconds since it was seen; and
-- 'lease', owner, shard, whether its holder has the session lock, microseconds left, not above zero when
-- it has ended.
SELECT 'node' AS what, name, shards, fit, CAST(unixepoch('subsec') * 1000000 AS INTEGER) - seen_at AS micros FROM onebeat_nodes
UNION ALL
SELECT 'lease', owner, shard, guarded, expires_at - CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM onebeat_leases
