-- The leases that were ever held.
-- In: nothing. Out: shard, owner, microseconds left, not above zero when it has ended, and whether
-- its holder has the session lock.
SELECT shard, owner, expires_at - CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), guarded FROM onebeat_leases ORDER BY shard
