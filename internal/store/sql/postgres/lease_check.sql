-- Holds the lease as it is until the transaction ends: nobody else takes it. Claims and renewals may go on, for they
-- leave the row's keys as they are (onebeat_leases_term).
-- In: shard, term. Out: the term, or no row when it is over.
SELECT term FROM onebeat_leases WHERE shard = $1 AND term = $2 FOR KEY SHARE
