-- Writes a batch in the journal while the term holds (after lease_advance). Repeating it
-- changes nothing.
-- In: shard, term, seq, dues (JSON). Out: one row written, or none when the term is over.
INSERT INTO onebeat_journal (shard, seq, term, claimed_at, dues)
SELECT shard, ?3, term, CAST(unixepoch('subsec') * 1000000 AS INTEGER), ?4
FROM onebeat_leases WHERE shard = ?1 AND term = ?2 AND seq = ?3
ON CONFLICT (shard, seq) DO UPDATE SET dues = excluded.dues
WHERE onebeat_journal.term = excluded.term
