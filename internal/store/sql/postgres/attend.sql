-- Notes that a node is there, as node_seen does, without waiting for the disk, and tells what roll does as it
-- was before.
-- In: name, shards, whether it is fit for shards. Out: the rows of roll, and 'noted' with nothing of meaning if
-- it was noted.
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
noted AS (
	{{node_seen}}
	RETURNING 1
)
SELECT 'noted' AS what, '' AS name, 0 AS shards, true AS fit, 0::bigint AS micros FROM noted, relaxed
UNION ALL
{{roll}}
