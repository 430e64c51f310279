-- Lets the lease last on. lease_term tells what it answers.
-- In: shard, term, length in microseconds, whether the holder has the session lock.
-- Out: one row changed, or none when the term is over.
UPDATE onebeat_leases SET expires_at = CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) + ?3, guarded = ?4
WHERE shard = ?1 AND term = ?2
