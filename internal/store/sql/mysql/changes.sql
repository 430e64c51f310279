-- The hints after a sequence number, and those that had a lower one and came later: numbers are
-- given out before transactions commit.
-- In: the last number that was read, the numbers that were missing then (JSON). Out: number, entry id ('' for any entry).
SELECT seq, coalesce(entry_id, '') FROM onebeat_changes WHERE seq > ?1
UNION ALL
SELECT c.seq, coalesce(c.entry_id, '')
FROM JSON_TABLE(?2, '$[*]' COLUMNS (seq bigint PATH '$')) AS gap STRAIGHT_JOIN onebeat_changes AS c FORCE INDEX (PRIMARY) ON c.seq = gap.seq
ORDER BY 1
