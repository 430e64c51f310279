-- Takes recorded batches out of the journal.
-- In: shard, sequence numbers. Out: the number of rows says how many were there.
DELETE FROM onebeat_journal WHERE shard = ?1 AND seq IN (SELECT value FROM json_each(?2))
