-- Where to begin in the log of changes: some before those of the last minute, for lower numbers than theirs may
-- be of transactions that are open still.
-- In: nothing. Out: a sequence number, after which to read.
SELECT greatest(0, coalesce(
	(SELECT min(latest.seq) - 10 FROM (SELECT seq, at FROM onebeat_changes ORDER BY seq DESC LIMIT 1000) AS latest WHERE latest.at > utc_timestamp(6) - INTERVAL 1 MINUTE),
	(SELECT max(seq) FROM onebeat_changes), 0))
