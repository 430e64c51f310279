-- The leases that were ever held.
-- In: nothing. Out: shard, owner, microseconds left, not above zero when it has ended, and whether
-- its holder has the session lock.
SELECT shard, owner, (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint, guarded FROM onebeat_leases ORDER BY shard
