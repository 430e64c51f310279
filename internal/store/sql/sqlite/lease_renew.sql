-- Lets the lease last on.
-- In: shard, term, length in microseconds, whether the holder has the session lock.
-- Out: the term and the database's clock, or no row when the term is over.
UPDATE onebeat_leases SET expires_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ?3, guarded = ?4
WHERE shard = ?1 AND term = ?2
RETURNING term, CAST(unixepoch('subsec') * 1000000 AS INTEGER)
