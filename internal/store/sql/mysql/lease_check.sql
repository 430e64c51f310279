-- Holds the lease as it is until the transaction ends.
-- In: shard, term. Out: the term, or no row when it is over.
SELECT term FROM onebeat_leases WHERE shard = ?1 AND term = ?2 LOCK IN SHARE MODE
