-- The runs of entries whose slots lie in a time, and of each entry the last slot before in each part of
-- the ledger, which may be of a range that reaches into it: no other parts are looked at than those with slots in that time.
-- In: ids, the instant after which, the instant up to which. Out: entry id, slot, last slot of a range or null,
-- count, state, reason, request, when it was sent or null; by entry, in order of slot.
SELECT run.*
FROM onebeat_parts AS part
CROSS JOIN unnest($1::text[]) AS entry (id)
CROSS JOIN LATERAL (
	SELECT entry_id, slot, through, count, state, reason, request, sent_at
	FROM onebeat_runs
	WHERE onebeat_runs.part = part.part AND day BETWEEN part.first_day AND part.last_day
		AND entry_id = entry.id AND slot > $2 AND slot <= $3
	OFFSET 0 -- so that it is looked for by the index
) AS run
WHERE part.last_slot >= $2 AND part.first_slot <= $3
UNION ALL
SELECT before.*
FROM onebeat_parts AS part
CROSS JOIN unnest($1::text[]) AS entry (id)
CROSS JOIN LATERAL (
	SELECT entry_id, slot, through, count, state, reason, request, sent_at
	FROM onebeat_runs
	WHERE onebeat_runs.part = part.part AND day BETWEEN part.first_day AND part.last_day
		AND entry_id = entry.id AND slot <= $2 AND request = ''
	ORDER BY slot DESC
	LIMIT 1
) AS before
WHERE part.last_slot >= $2 AND part.first_slot <= $2
ORDER BY 1, 2
