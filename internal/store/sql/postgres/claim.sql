-- Claims a batch: moves the lease on to its sequence number while the term holds,
-- and writes the batch in the journal. Repeating it changes nothing.
-- In: shard, term, seq, dues (JSON). Out: one row written, or none when the term is over.
WITH held AS (
	UPDATE onebeat_leases SET seq = $3
	WHERE shard = $1 AND term = $2 AND seq <= $3
	RETURNING shard
)
INSERT INTO onebeat_journal (shard, seq, term, claimed_at, dues)
SELECT shard, $3, $2, clock_timestamp(), $4 FROM held
ON CONFLICT (shard, seq) DO UPDATE SET dues = excluded.dues
WHERE onebeat_journal.term = excluded.term
