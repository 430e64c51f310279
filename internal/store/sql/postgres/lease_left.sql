-- How long the lease still lasts.
-- In: shard. Out: microseconds, not above zero when it has ended, and whether its holder has
-- the session lock; no row when it was never held.
SELECT (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint, guarded
FROM onebeat_leases WHERE shard = $1
