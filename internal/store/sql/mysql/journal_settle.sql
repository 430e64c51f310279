-- Notes that the first dues of a batch are recorded.
-- In: shard, seq, how many. Out: one row changed, or none where as many were before.
UPDATE onebeat_journal SET recorded = ?3 WHERE shard = ?1 AND seq = ?2 AND recorded < ?3
