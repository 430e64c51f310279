-- Forgets the nodes that were not seen for so long.
-- In: microseconds. Out: nothing.
DELETE FROM onebeat_nodes WHERE seen_at <= CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED) - ?1
