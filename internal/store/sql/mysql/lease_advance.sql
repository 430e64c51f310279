-- Moves the lease on to a sequence number. (PostgreSQL does so in claim.)
-- In: shard, term, seq. Out: one row changed, or none when the term is over.
UPDATE onebeat_leases SET seq = ?3 WHERE shard = ?1 AND term = ?2 AND seq <= ?3
