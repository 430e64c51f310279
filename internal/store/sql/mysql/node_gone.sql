-- Forgets a node that was not seen for so long.
-- In: name, microseconds. Out: nothing.
DELETE FROM onebeat_nodes WHERE name = ?1 AND seen_at <= CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) - ?2
