-- Writes a batch in the journal while the term holds (after lease_advance). Repeating it
-- changes nothing.
-- In: shard, term, seq, dues (JSON). Out: one row written, or none when the term is over.
INSERT INTO onebeat_journal (shard, seq, term, claimed_at, dues)
SELECT l.shard, ?3, l.term, CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED), ?4
FROM onebeat_leases AS l LEFT JOIN onebeat_journal AS j ON j.shard = l.shard AND j.seq = ?3
WHERE l.shard = ?1 AND l.term = ?2 AND l.seq = ?3 AND coalesce(j.term, l.term) = l.term
ON DUPLICATE KEY UPDATE dues = VALUES(dues)
