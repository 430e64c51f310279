-- Ends the lease now, if the term still holds it.
-- In: shard, term. Out: nothing.
UPDATE onebeat_leases SET expires_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER), guarded = 0
WHERE shard = ?1 AND term = ?2
