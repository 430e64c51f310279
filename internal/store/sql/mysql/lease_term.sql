-- The lease's term and the database's clock.
-- In: shard. Out: both.
SELECT term, CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) FROM onebeat_leases WHERE shard = ?1
