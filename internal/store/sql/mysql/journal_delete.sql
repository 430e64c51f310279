-- Takes recorded batches out of the journal.
-- In: shard, sequence numbers. Out: the number of rows says how many were there.
DELETE j
FROM JSON_TABLE(?2, '$[*]' COLUMNS (seq bigint PATH '$')) AS gone
STRAIGHT_JOIN onebeat_journal AS j FORCE INDEX (PRIMARY) ON j.shard = ?1 AND j.seq = gone.seq
