-- Forgets a node that was not seen for so long.
-- In: name, microseconds. Out: nothing.
DELETE FROM onebeat_nodes WHERE name = $1 AND seen_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
