-- How long the lease still lasts.
-- In: shard. Out: microseconds, not above zero when it has ended; no row when it was never held.
SELECT expires_at - CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM onebeat_leases WHERE shard = ?1
