-- How long the lease still lasts.
-- In: shard. Out: microseconds, not above zero when it has ended, and whether its holder has
-- the session lock; no row when it was never held.
SELECT expires_at - CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), guarded FROM onebeat_leases WHERE shard = ?1
