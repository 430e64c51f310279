-- Ends the lease now, if the term still holds it.
-- In: shard, term. Out: nothing.
UPDATE onebeat_leases SET expires_at = clock_timestamp(), guarded = false
WHERE shard = $1 AND term = $2
