-- Forgets runs whose slots are old, of the thousand that were recorded first.
-- In: days to keep, 0 for all. Out: the number of rows says how many were forgotten.
DELETE FROM onebeat_runs
WHERE ?1 > 0 AND rowid IN (SELECT rowid FROM onebeat_runs ORDER BY rowid LIMIT 1000)
	AND coalesce(through, slot) < CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?1 * 86400000000
