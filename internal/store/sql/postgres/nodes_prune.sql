-- Forgets the nodes that were not seen for so long.
-- In: microseconds. Out: nothing.
DELETE FROM onebeat_nodes WHERE seen_at <= clock_timestamp() - $1::bigint * interval '1 microsecond'
