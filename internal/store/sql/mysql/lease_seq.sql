-- The last sequence number that was claimed.
-- In: shard. Out: seq, or no row when the shard was never held.
SELECT seq FROM onebeat_leases WHERE shard = ?1
