-- The leases that were ever held.
-- In: nothing. Out: shard, owner, microseconds left, not above zero when it has ended, and whether
-- its holder has the session lock.
SELECT shard, owner, expires_at - CAST(unixepoch('subsec') * 1000000 AS INTEGER), guarded FROM onebeat_leases ORDER BY shard
