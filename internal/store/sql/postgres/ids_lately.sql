-- Entries that had a slot in the last minutes, and so may have one again soon: those that are told of first, wherever
-- in their table they are. The ledger may not keep what was sent.
-- In: how many of the runs are looked at, at most. Out: id, how many of its runs were looked at.
SELECT entry_id, count(*) FROM (
	SELECT entry_id FROM onebeat_runs
	WHERE day >= (now() AT TIME ZONE 'UTC')::date - 1 AND slot > now() - interval '5 minutes' AND request = ''
	LIMIT $1
) AS lately
GROUP BY entry_id
