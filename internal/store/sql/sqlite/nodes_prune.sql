-- Forgets the nodes that were not seen for so long.
-- In: microseconds. Out: nothing.
DELETE FROM onebeat_nodes WHERE seen_at <= CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?1
