-- The claimed batches that are not recorded, or not wholly, in order.
-- In: shard. Out: seq, term, claimed_at, dues (JSON), how many of them are recorded.
SELECT seq, term, claimed_at, dues, recorded FROM onebeat_journal WHERE shard = $1 ORDER BY seq
