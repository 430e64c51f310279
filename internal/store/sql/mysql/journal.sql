-- The claimed batches that are not recorded, in order.
-- In: shard. Out: seq, term, claimed_at, dues (JSON).
SELECT seq, term, claimed_at, dues FROM onebeat_journal WHERE shard = ?1 ORDER BY seq
