-- Forgets runs whose slots are old, of the thousand that were recorded first.
-- In: days to keep, 0 for all. Out: the number of rows says how many were forgotten.
DELETE r
FROM (SELECT id FROM onebeat_runs ORDER BY id LIMIT 1000) AS first
STRAIGHT_JOIN onebeat_runs AS r FORCE INDEX (PRIMARY) ON r.id = first.id
WHERE ?1 > 0 AND coalesce(r.through, r.slot) < CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) - ?1 * 86400000000
