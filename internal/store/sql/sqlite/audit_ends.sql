-- The runs of entries whose slots lie in a time, and of each entry the last slot before,
-- which may be of a range that reaches into it.
-- In: ids, the instant after which, the instant up to which. Out: entry id, slot, last slot of a range or null,
-- count, state, reason, request, when it was sent or null; by entry, in order of slot.
SELECT entry_id, slot, through, count, state, reason, request, sent_at
FROM onebeat_runs
WHERE entry_id IN (SELECT value FROM json_each(?1)) AND slot > ?2 AND slot <= ?3
UNION ALL
SELECT entry_id, slot, through, count, state, reason, request, sent_at
FROM json_each(?1) AS entry
JOIN onebeat_runs ON onebeat_runs.rowid = (
	SELECT before.rowid FROM onebeat_runs AS before
	WHERE before.entry_id = entry.value AND before.slot <= ?2 AND before.request = ''
	ORDER BY before.slot DESC
	LIMIT 1
)
ORDER BY 1, 2
