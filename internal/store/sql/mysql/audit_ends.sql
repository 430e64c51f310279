-- The runs of entries whose slots lie in a time, and of each entry the last slot before in each part of
-- the ledger, which may be of a range that reaches into it: no other parts are looked at than those with slots in that time.
-- In: ids, the instant after which, the instant up to which. Out: entry id, slot, last slot of a range or null,
-- count, state, reason, request, when it was sent or null; by entry, in order of slot.
SELECT r.entry_id, r.slot, r.through, r.count, r.state, r.reason, r.request, r.sent_at
FROM onebeat_parts AS part
STRAIGHT_JOIN JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) AS entry
STRAIGHT_JOIN onebeat_runs AS r FORCE INDEX (onebeat_runs_part) ON r.part = part.part AND r.entry_id = entry.id
WHERE part.last_slot >= ?2 AND part.first_slot <= ?3 AND r.slot > ?2 AND r.slot <= ?3
UNION ALL
SELECT r.entry_id, r.slot, r.through, r.count, r.state, r.reason, r.request, r.sent_at
FROM onebeat_parts AS part
STRAIGHT_JOIN JSON_TABLE(?1, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) AS entry
STRAIGHT_JOIN onebeat_runs AS r ON r.id = (
	SELECT earlier.id FROM onebeat_runs AS earlier FORCE INDEX (onebeat_runs_part)
	WHERE earlier.part = part.part AND earlier.entry_id = entry.id AND earlier.slot <= ?2 AND earlier.request = ''
	ORDER BY earlier.slot DESC
	LIMIT 1
)
WHERE part.last_slot >= ?2 AND part.first_slot <= ?2
ORDER BY 1, 2
