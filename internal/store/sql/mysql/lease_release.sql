-- Ends the lease now, if the term still holds it.
-- In: shard, term. Out: nothing.
UPDATE onebeat_leases SET expires_at = CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), guarded = 0
WHERE shard = ?1 AND term = ?2
