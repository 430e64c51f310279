-- The runs of entries whose slots lie in a time, and of each entry the last slot before in each part of
-- the ledger, which may be of a range that reaches into it: no other parts are looked at than those with slots in that time.
-- In: ids, the instant after which, the instant up to which. Out: entry id, slot, last slot of a range or null,
-- count, state, reason, request, when it was sent or null; by entry, in order of slot.
SELECT run.entry_id, run.slot, run.through, run.count, run.state, run.reason, run.request, run.sent_at
FROM onebeat_parts AS part
CROSS JOIN json_each(?1) AS entry
CROSS JOIN onebeat_runs AS run ON run.part = part.part AND run.entry_id = entry.value AND run.slot > ?2 AND run.slot <= ?3
WHERE part.last_slot >= ?2 AND part.first_slot <= ?3
UNION ALL
SELECT run.entry_id, run.slot, run.through, run.count, run.state, run.reason, run.request, run.sent_at
FROM onebeat_parts AS part
CROSS JOIN json_each(?1) AS entry
CROSS JOIN onebeat_runs AS run ON run.rowid = (
	SELECT before.rowid FROM onebeat_runs AS before
	WHERE before.part = part.part AND before.entry_id = entry.value AND before.slot <= ?2 AND before.request = ''
	ORDER BY before.slot DESC
	LIMIT 1
)
WHERE part.last_slot >= ?2 AND part.first_slot <= ?2
ORDER BY 1, 2
