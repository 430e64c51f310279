-- All that a node which leads says and asks on a beat: attend, that its lease lasts on, and whether the log of changes has anything
-- new. None of it waits for the disk: a lease of which the database lost the last moments in a crash has ended the sooner.
-- In: name, shards, whether it is fit for shards; shard, term, length in microseconds; the cursor of changes, null for none.
-- Out: the rows of attend; 'renewed' with the database's clock in microseconds unless the term is over; 'news' if there are hints after the
-- cursor, or so many in the log since the oldest transaction that is still open that it takes too long to look: the lease's row is locked meanwhile.
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
noted AS (
	{{node_seen}}
	RETURNING 1
),
renewed AS (
	UPDATE onebeat_leases
	SET expires_at = clock_timestamp() + $6::bigint * interval '1 microsecond', guarded = true
	WHERE shard = $4 AND term = $5
	RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros
)
SELECT 'noted' AS what, '' AS name, 0 AS shards, true AS fit, 0::bigint AS micros FROM noted, relaxed
UNION ALL
SELECT 'renewed', '', 0, true, micros FROM renewed
UNION ALL
SELECT 'news', '', 0, true, 0
FROM ( -- in order, so that it begins at the end of the index
	SELECT pg_visible_in_snapshot(xid, (SELECT $7::text::pg_snapshot)) AS known
	FROM onebeat_changes
	WHERE xid >= (SELECT pg_snapshot_xmin($7::text::pg_snapshot))
	ORDER BY xid LIMIT 1000
) AS hint
HAVING count(*) = 1000 OR NOT bool_and(known)
UNION ALL
{{roll}}
